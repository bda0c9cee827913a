//! The pages for people in a real browser: Debian's Chromium, driven by its own protocol over a pipe, without JavaScript where
//! people need none. axe-core looks for what people with disabilities would stumble over; pictures go to `target/pictures`.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use vppd::clock::Clock;
use vppd::operations::enrol::codes;
use vppd::operations::view::EnrolCodesRequest;

use crate::enrolment::{PASSWORD, with_people};

/// Longer than anything takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a phone and a desktop show at once.
const SIZES: [(&str, u32, u32, bool); 2] = [("phone", 390, 844, true), ("desktop", 1280, 900, false)];

struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    events: VecDeque<Value>,
    session: String,
    next: u64,
    axe: String,
    pictures: PathBuf,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn axe() -> String {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"))).unwrap();
    let file = cache.join("vppd-tests/package/axe.min.js");
    std::fs::read_to_string(&file).unwrap_or_else(|error| {
        panic!("axe-core is not there ({}: {error}): `make setup` fetches it from npm's registry", file.display())
    })
}

impl Browser {
    fn start(folder: &Path) -> Browser {
        let flags = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--no-first-run",
            "--hide-scrollbars",
            "--ignore-certificate-errors",
            "--remote-debugging-pipe",
        ];
        // It reads from 3 and writes to 4, which a shell can make out of its own.
        let script = r#"exec chromium "$@" 3<&0 4>&1 </dev/null >/dev/null"#;
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg("chromium").args(flags);
        command.arg(format!("--user-data-dir={}", folder.display())).arg("about:blank");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (to, out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, from) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(out).split(0).map_while(Result::ok) {
                if sender.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
            }
        });
        let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("pictures");
        std::fs::create_dir_all(&pictures).unwrap();
        let (events, session) = (VecDeque::new(), String::new());
        let mut browser = Browser { child, to, from, events, session, next: 0, axe: axe(), pictures };
        let target = browser.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let attached = browser.ask("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        browser.ask("Page.enable", json!({}));
        browser
    }

    fn message(&mut self) -> Value {
        self.from.recv_timeout(PATIENCE).unwrap_or_else(|error| {
            panic!("Chromium says nothing ({error}): `make setup` installs chromium, if it is missing")
        })
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let mut request = json!({ "id": self.next, "method": method, "params": params });
        if !self.session.is_empty() {
            request["sessionId"] = self.session.as_str().into();
        }
        let sent = write!(self.to, "{request}\0").and_then(|()| self.to.flush());
        assert!(sent.is_ok(), "`chromium` cannot be run: `make setup` installs it");
        loop {
            let answer = self.message();
            if answer["id"] == self.next {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.events.push_back(answer);
        }
    }

    /// Waits until a page has been loaded after `act`.
    fn load(&mut self, act: impl FnOnce(&mut Browser)) {
        self.events.clear();
        act(self);
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.message();
            self.events.push_back(event);
        }
    }

    fn open(&mut self, url: &str) {
        self.load(|browser| {
            let went = browser.ask("Page.navigate", json!({ "url": url }));
            assert!(went["errorText"].is_null(), "{url}: {went}");
        });
    }

    fn look(&mut self, width: u32, height: u32, mobile: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.ask("Emulation.setDeviceMetricsOverride", size);
    }

    fn dark(&mut self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": value }]);
        self.ask("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    fn scripts(&mut self, run: bool) {
        self.ask("Emulation.setScriptExecutionDisabled", json!({ "value": !run }));
    }

    /// Types into a field as a person does, without a script on the page.
    fn type_into(&mut self, field: &str, text: &str) {
        let document = self.ask("DOM.getDocument", json!({}));
        let root = &document["root"]["nodeId"];
        let node = self.ask("DOM.querySelector", json!({ "nodeId": root, "selector": field }));
        self.ask("DOM.focus", json!({ "nodeId": node["nodeId"] }));
        self.ask("Input.insertText", json!({ "text": text }));
    }

    fn press_enter(&mut self) {
        for kind in ["keyDown", "keyUp"] {
            let key =
                json!({ "type": kind, "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r" });
            self.ask("Input.dispatchKeyEvent", key);
        }
    }

    fn evaluate(&mut self, script: &str) -> Value {
        let request = json!({ "expression": script, "returnByValue": true, "awaitPromise": true });
        let answer = self.ask("Runtime.evaluate", request);
        assert!(answer["exceptionDetails"].is_null(), "{}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// What axe-core finds wrong with the page, each in a line.
    fn violations(&mut self) -> Vec<String> {
        let script = format!(
            "{};axe.run().then(r => r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html + ' ' + \
             n.failureSummary).join(' | ')))",
            self.axe
        );
        let found = self.evaluate(&script);
        found.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
    }

    fn picture(&mut self, name: &str) {
        let picture = self.ask("Page.captureScreenshot", json!({ "captureBeyondViewport": true }));
        let bytes = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        std::fs::write(self.pictures.join(name), bytes).unwrap();
    }
}

/// Looks at a page in every size, in light and dark.
fn inspect(browser: &mut Browser, name: &str, url: &str) {
    for (size, width, height, mobile) in SIZES {
        browser.look(width, height, mobile);
        for dark in [true, false] {
            browser.dark(dark);
            browser.open(url);
            assert_eq!(browser.violations(), [""; 0], "{name}, {size}, dark: {dark}");
        }
        let wide = browser.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth");
        assert_eq!(wide, false, "{name}, {size}: nobody should have to scroll sideways");
        browser.picture(&format!("enrol-{name}-{size}.png"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_enrolment_pages_work_in_chromium_without_scripts_and_for_everybody() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let app = with_people(Clock::real()).await;
    let made = codes::make(&app.context, EnrolCodesRequest::default(), "test").await.unwrap();
    let (page, code) = (made.page.clone(), made.codes[0].url.clone());
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_owned();
    let work = move || {
        let mut browser = Browser::start(&place);
        inspect(&mut browser, "first", &format!("{page}?lang=en"));
        inspect(&mut browser, "problem", &format!("{page}?lang=fr&code=AAAA-BBBB-CCCC"));
        inspect(&mut browser, "offer", &format!("{code}&lang=en"));
        for tag in ["de", "fr", "nl", "es"] {
            inspect(&mut browser, &format!("first-{tag}"), &format!("{page}?lang={tag}"));
            inspect(&mut browser, &format!("offer-{tag}"), &format!("{code}&lang={tag}"));
        }

        // A person signs in on a phone that runs no scripts.
        browser.look(390, 844, true);
        browser.scripts(false);
        browser.open(&format!("{page}?lang=nl"));
        browser.type_into("#name", "priya@example.org");
        browser.type_into("#password", PASSWORD);
        browser.load(Browser::press_enter);
        browser.scripts(true);
        let seen = browser.evaluate("document.body.innerText").as_str().unwrap().to_owned();
        assert!(seen.contains("Voor Priya <Osei>") && seen.contains("Download het profiel"), "{seen}");
        let link = browser.evaluate("document.querySelector('a.act').href");
        assert!(link.as_str().unwrap().ends_with("/profile.mobileconfig"), "{link}");
        let cookies = browser.ask("Network.getCookies", json!({}));
        assert_eq!(cookies["cookies"], json!([]));

        // The same with a code that somebody types, on a desktop.
        browser.look(1280, 900, false);
        browser.scripts(false);
        browser.open(&format!("{page}?lang=es"));
        browser.type_into("#code", &made.codes[0].code.to_lowercase());
        browser.load(Browser::press_enter);
        browser.scripts(true);
        let seen = browser.evaluate("document.body.innerText").as_str().unwrap().to_owned();
        assert!(seen.contains("Para un dispositivo compartido"), "{seen}");
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}
