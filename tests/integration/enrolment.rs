//! The ways to enrol: people sign in on the page, codes are printed, links are given to Apple Configurator; and what becomes of
//! devices that are wiped, restored, or get into other hands.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use jiff::SignedDuration;
use sandbox::device::DeviceSpec;
use secrecy::SecretString;
use tower::ServiceExt;
use vppd::clock::Clock;
use vppd::operations::enrol::codes;
use vppd::operations::view::*;
use vppd::operations::{device_notes, directory, look, password};
use vppd::store::enrolments;
use vppd::web;
use vppd::web::caller::{Caller, Neighbour};

use crate::foreign_tools::done;
use crate::support::*;

pub const PASSWORD: &str = "öffne dich & mehr";

/// An appliance with people who can sign in.
pub async fn with_people(clock: Clock) -> App {
    let app = App::start_with(clock, &[], |text| {
        let socket = text.split("control-socket = \"").nth(1).unwrap().split('"').next().unwrap();
        let file = std::path::Path::new(socket).with_file_name("people.toml").display().to_string();
        format!("{text}[directory]\nfile = {file:?}\n")
    })
    .await;
    let hash = password::hash(&SecretString::from(PASSWORD)).unwrap();
    let person = |uid: &str, name: &str| {
        format!(
            "[[person]]\nuid = \"{uid}\"\nname = \"{name}\"\nemail = \"{uid}@example.org\"\nmanaged-account = \
             \"{uid}@mdm.example.org\"\npassword = \"{hash}\"\n"
        )
    };
    let nobody = "[[person]]\nuid = \"nopass\"\nemail = \"nopass@example.org\"\n";
    let people = format!("{}{}{nobody}", person("priya", "Priya <Osei>"), person("lena", "Lena Haas"));
    std::fs::write(app.path("people.toml"), people).unwrap();
    directory::sync(&app.context, DirectorySyncRequest { confirm: true }, "test").await.unwrap();
    app
}

/// The device listener as one browser sees it, from one address.
pub struct Browser {
    router: axum::Router,
    from: [u8; 4],
}

pub struct Seen {
    pub status: StatusCode,
    pub headers: header::HeaderMap,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

impl Browser {
    pub fn new(app: &App) -> Browser {
        Browser { router: web::devices::router(app.context.clone()), from: [192, 0, 2, 7] }
    }

    async fn send(&self, request: axum::http::request::Builder, body: &str) -> Seen {
        let mut request = request.header("host", "localhost").body(Body::from(body.to_owned())).unwrap();
        request.extensions_mut().insert(Caller {
            neighbour: Neighbour::from(self.from),
            address: None,
            certificate: None,
        });
        let answer: Response<Body> = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Seen { status: parts.status, headers: parts.headers, body }
    }

    pub async fn get(&self, path: &str) -> Seen {
        self.send(Request::get(path), "").await
    }

    async fn in_language(&self, path: &str, accept: &str) -> String {
        self.send(Request::get(path).header("accept-language", accept), "").await.text()
    }

    /// Sends the form as a browser does that stands on the page.
    pub async fn sign_in(&self, name: &str, password: &str) -> Seen {
        let request = Request::post("/enrol").header("origin", "https://localhost");
        self.send(request, &form(&[("lang", "en"), ("name", name), ("password", password)])).await
    }

    /// Signs in and takes the profile.
    pub async fn profile_of(&self, name: &str) -> Vec<u8> {
        let inside = self.sign_in(name, PASSWORD).await;
        assert_eq!(inside.status, StatusCode::SEE_OTHER, "{}", inside.text());
        let offer = self.get(inside.header("location")).await;
        let path = link_to_profile(&offer.text());
        let profile = self.get(&path).await;
        assert_eq!(
            (profile.status, profile.header("content-type")),
            (StatusCode::OK, "application/x-apple-aspen-config")
        );
        profile.body
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn link_to_profile(page: &str) -> String {
    let at = page.find("/profile.mobileconfig").unwrap_or_else(|| panic!("{page}"));
    let start = page[..at].rfind('"').unwrap() + 1;
    format!("{}/profile.mobileconfig", &page[start..at])
}

async fn person_of(app: &App, serial: &str) -> String {
    device_notes::show(&app.context, serial.into()).await.unwrap().person
}

async fn enrol(app: &App, profile: &[u8], spec: &DeviceSpec) -> Result<(), String> {
    let failures = app.fleet.enrol(profile, vec![spec.clone()], 1, |_| ()).await;
    failures.into_iter().next().map_or(Ok(()), |(_, error)| Err(error.to_string()))
}

#[test]
fn who_signs_in_gets_a_profile_for_one_device_which_is_then_theirs() {
    story(|clock| async move {
        let app = with_people(clock).await;
        let browser = Browser::new(&app);
        let specs = devices(0, 3);
        let first = browser.get("/enrol").await;
        let text = first.text();
        assert!(text.contains("type=\"password\"") && text.contains("Northwind School"), "{text}");
        assert!(!text.contains("<script") && first.headers.get("set-cookie").is_none());
        for (header, part) in [
            ("content-security-policy", "default-src 'none'; style-src 'sha256-"),
            ("content-security-policy", "frame-ancestors 'none'"),
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("referrer-policy", "same-origin"),
            ("vary", "accept-language"),
        ] {
            assert!(first.header(header).contains(part), "{header}: {}", first.header(header));
        }

        let inside = browser.sign_in(" Priya@example.org ", PASSWORD).await;
        let offer = browser.get(inside.header("location")).await.text();
        assert!(offer.contains("Priya &lt;Osei&gt;") && offer.contains("will not be able to"), "{offer}");
        let path = link_to_profile(&offer);
        let profile = browser.get(&path).await.body;
        assert!(profile.starts_with(&[0x30]), "signed");
        // Fetched twice, used once.
        let again = browser.get(&path).await.body;
        enrol(&app, &again, &specs[0]).await.unwrap();
        assert_eq!(person_of(&app, &specs[0].serial).await, "priya@example.org");
        assert!(enrol(&app, &profile, &specs[1]).await.is_err(), "one profile, one device");
        let spent = browser.get(&path).await;
        assert_eq!(spent.status, StatusCode::GONE);
        assert!(spent.text().contains("no longer valid"));

        // By the Managed Apple Account, too; and whoever has gone meanwhile is not let in with an older profile.
        let profile = browser.profile_of("LENA@mdm.example.org").await;
        std::fs::write(app.path("people.toml"), "[[person]]\nuid = \"priya\"\nemail = \"priya@example.org\"\n")
            .unwrap();
        directory::sync(&app.context, DirectorySyncRequest { confirm: true }, "test").await.unwrap();
        assert!(enrol(&app, &profile, &specs[2]).await.is_err(), "gone");
        for name in ["lena@example.org", "priya@example.org"] {
            let gone = browser.sign_in(name, PASSWORD).await;
            assert_eq!(gone.status, StatusCode::UNPROCESSABLE_ENTITY, "{name}: gone, or without a password now");
        }
        assert!(!browser.get("/enrol").await.text().contains("type=\"password\""), "nobody can sign in any more");
    });
}

#[test]
fn the_page_speaks_five_languages_and_can_be_switched() {
    story(|clock| async move {
        let app = with_people(clock).await;
        let browser = Browser::new(&app);
        for (accept, tag, words) in [
            ("de-DE,de;q=0.9", "de", "Dieses Gerät anmelden"),
            ("fr", "fr", "Inscrire cet appareil"),
            ("nl-BE", "nl", "Dit apparaat aanmelden"),
            ("es-MX,en;q=0.3", "es", "Inscribir este dispositivo"),
            ("ja", "en", "Enrol this device"),
        ] {
            let by_browser = browser.in_language("/enrol", accept).await;
            assert!(
                by_browser.contains(&format!("<html lang=\"{tag}\"")) && by_browser.contains(words),
                "{by_browser}"
            );
            let chosen = browser.in_language(&format!("/enrol?lang={tag}"), "en").await;
            assert_eq!(chosen, by_browser, "chosen");
        }
        let inside = browser.sign_in("priya@example.org", PASSWORD).await;
        let address = inside.header("location").replace("lang=en", "lang=de");
        let offer = browser.get(&address).await.text();
        assert!(offer.contains("Northwind School kann nicht") && offer.contains("Für Priya"), "{offer}");
        assert!(
            offer.contains(&address.replace("lang=de", "lang=fr").replace('&', "&amp;")),
            "the choice keeps the place"
        );
    });
}

#[test]
fn a_wrong_name_and_a_wrong_password_are_answered_alike_and_guessing_is_slowed() {
    story(|clock| async move {
        let app = with_people(clock).await;
        let browser = Browser::new(&app);
        let mut answers = Vec::new();
        for (name, password) in [
            ("nobody@example.org", PASSWORD),
            ("priya@example.org", "wrong"),
            ("nopass@example.org", ""),
            ("priya@example.org", ""),
            ("1", PASSWORD),
        ] {
            let start = app.clock.now();
            let answer = browser.sign_in(name, password).await;
            let took = app.clock.now().duration_since(start);
            assert_eq!(
                (answer.status, took),
                (StatusCode::UNPROCESSABLE_ENTITY, SignedDuration::from_secs(1)),
                "{name}"
            );
            answers.push(answer.text());
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "the same words");

        // Five for one name, whether it is there or not; then even the right one has to wait.
        for name in ["lena@example.org", "unknown@example.org"] {
            for _ in 0..6 {
                assert_eq!(browser.sign_in(name, "guess").await.status, StatusCode::UNPROCESSABLE_ENTITY);
            }
            let rests = browser.sign_in(&name.to_uppercase(), PASSWORD).await;
            assert_eq!(rests.status, StatusCode::TOO_MANY_REQUESTS, "{name}");
            let seconds: u64 = rests.header("retry-after").parse().unwrap();
            assert!((1..=60).contains(&seconds), "{seconds}");
            assert!(rests.text().contains("Try again in 1 min."));
        }
        let other = browser.sign_in("priya@example.org", PASSWORD).await;
        assert_eq!(other.status, StatusCode::SEE_OTHER, "others are not concerned");
        app.wait(Duration::from_secs(61)).await;
        assert_eq!(browser.sign_in("lena@example.org", PASSWORD).await.status, StatusCode::SEE_OTHER);
    });
}

#[test]
fn whoever_guesses_codes_rests_by_address() {
    story(|clock| async move {
        let app = with_people(clock).await;
        let mut browser = Browser::new(&app);
        let mut found = 0;
        while browser.get("/enrol?code=AAAA-BBBB-CCCC").await.status == StatusCode::NOT_FOUND {
            found += 1;
            assert!(found < 200);
        }
        assert_eq!(found, 61);
        let made = codes::make(&app.context, EnrolCodesRequest::default(), "test").await.unwrap();
        let path = format!("/enrol?code={}", made.codes[0].code);
        assert_eq!(browser.get(&path).await.status, StatusCode::TOO_MANY_REQUESTS);
        browser.from = [192, 0, 2, 8];
        assert_eq!(browser.get(&path).await.status, StatusCode::OK, "other addresses are not concerned");
    });
}

#[test]
fn a_form_that_comes_from_elsewhere_is_not_taken() {
    story(|clock| async move {
        let app = with_people(clock).await;
        let browser = Browser::new(&app);
        let body = form(&[("name", "priya@example.org"), ("password", PASSWORD)]);
        for (header, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), ("x-none", "")] {
            let answer = browser.send(Request::post("/enrol").header(header, value), &body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{header}");
            assert!(answer.text().contains("did not come from this page"));
        }
        let large = browser.sign_in("priya@example.org", &"x".repeat(10_000)).await;
        assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
        let odd = browser.get("/enrol?code=%3Cscript%3E&lang=%22%3E").await;
        assert_eq!(odd.status, StatusCode::NOT_FOUND);
        assert!(!odd.text().contains("<script"), "{}", odd.text());
    });
}

#[test]
fn codes_are_for_one_device_each_and_can_be_withdrawn() {
    story(|clock| async move {
        let app = App::start(clock, &[]).await;
        let browser = Browser::new(&app);
        assert!(!browser.get("/enrol").await.text().contains("type=\"password\""), "nobody can sign in");
        let request = EnrolCodesRequest { count: Some(3), label: Some("Room 12".into()), expires_at: None };
        let made = codes::make(&app.context, request, "anna").await.unwrap();
        assert_eq!((made.codes.len(), made.page.ends_with("/enrol")), (3, true));
        let specs = devices(0, 3);
        // As the camera reads it, and as somebody types it.
        let scanned = made.codes[0].url.split_once("localhost").unwrap().1.split_once('/').unwrap().1;
        let offer = browser.get(&format!("/{scanned}")).await.text();
        assert!(offer.contains("For a device that is shared"), "{offer}");
        let typed = made.codes[0].code.to_lowercase().replace('-', "+");
        let path = link_to_profile(&browser.get(&format!("/enrol?lang=en&code={typed}")).await.text());
        assert_eq!(path, link_to_profile(&offer));
        enrol(&app, &browser.get(&path).await.body, &specs[0]).await.unwrap();
        assert_eq!(person_of(&app, &specs[0].serial).await, "");
        assert_eq!(browser.get(&path).await.status, StatusCode::GONE);

        let fetched = browser.get(&format!("/enrol/{}/profile.mobileconfig", made.codes[1].code)).await.body;
        let revoked = codes::revoke(&app.context, made.codes[1].reference.clone(), "anna").await.unwrap();
        assert_eq!(revoked.revoked, 1);
        assert!(enrol(&app, &fetched, &specs[1]).await.is_err(), "withdrawn after it was fetched");
        assert_eq!(codes::revoke(&app.context, made.batch.clone(), "anna").await.unwrap().revoked, 1, "what was left");
        for code in &made.codes {
            assert_eq!(browser.get(&format!("/enrol?code={}", code.code)).await.status, StatusCode::GONE);
        }
        let listed = codes::list(&app.context).await.unwrap();
        let states: Vec<_> = listed.iter().map(|one| (one.reference.as_str(), one.state, one.used)).collect();
        let expected = [EnrolmentState::Used, EnrolmentState::Revoked, EnrolmentState::Revoked];
        let expected: Vec<_> =
            made.codes.iter().zip(expected).zip([1, 0, 0]).map(|((c, s), u)| (c.reference.as_str(), s, u)).collect();
        assert_eq!(states, expected);
        assert!(codes::revoke(&app.context, "c-none".into(), "anna").await.is_err());
        // Long after their end they are forgotten, but for the one that a device came with.
        let later = app.clock.now() + SignedDuration::from_hours(24 * 31);
        app.context.store.write(move |w| enrolments::forget_before(w, later)).await.unwrap();
        let left = codes::list(&app.context).await.unwrap();
        assert_eq!(left.iter().map(|one| one.used).collect::<Vec<_>>(), [1]);
        assert_eq!(
            look::device(&app.context, specs[0].serial.clone()).await.unwrap().device.state,
            DeviceState::Enrolled
        );
        app.assert_clean();
    });
}

#[test]
fn a_link_gives_the_profile_to_so_many_devices_until_its_end() {
    story(|clock| async move {
        let app = App::start(clock, &[]).await;
        let browser = Browser::new(&app);
        let request = EnrolCodesRequest { count: Some(2), label: None, expires_at: None };
        let link = codes::link(&app.context, request, "anna").await.unwrap();
        let path = format!("/{}", link.url.splitn(4, '/').nth(3).unwrap());
        let specs = devices(0, 4);
        let profile = browser.get(&path).await.body;
        for spec in &specs[..2] {
            enrol(&app, &profile, spec).await.unwrap();
        }
        assert!(enrol(&app, &profile, &specs[2]).await.is_err());
        assert_eq!(browser.get(&path).await.status, StatusCode::GONE);
        let soon = app.clock.now() + SignedDuration::from_hours(8);
        let request = EnrolCodesRequest { count: Some(2), label: None, expires_at: Some(soon) };
        let link = codes::link(&app.context, request, "anna").await.unwrap();
        let path = format!("/{}", link.url.splitn(4, '/').nth(3).unwrap());
        let profile = browser.get(&path).await.body;
        app.wait(minutes(8 * 60)).await;
        assert_eq!(browser.get(&path).await.status, StatusCode::GONE);
        assert!(enrol(&app, &profile, &specs[3]).await.is_err(), "over");
    });
}

#[test]
fn the_profile_for_trust_has_the_servers_root_and_enrols_nothing() {
    story(|clock| async move {
        let app = App::start(clock, &[]).await;
        let browser = Browser::new(&app);
        let page = browser.get("/enrol").await.text();
        let profile = browser.get("/enrol/trust.mobileconfig").await.body;
        let read = sandbox::device::profile::Profile::read(&profile).unwrap();
        assert!(read.enrolment.is_none());
        assert_eq!(read.anchors, *app.context.keys.anchors.load_full());
        let fingerprint = vppd::mdm::identity::certificate::fingerprint(&read.anchors[0]);
        let shown = fingerprint.map(|byte| format!("{byte:02X}")).join(" ");
        assert!(page.contains(&shown), "{page}");
    });
}

#[test]
fn a_wiped_device_that_changes_hands_belongs_to_who_signs_in() {
    story(|clock| async move {
        let app = with_people(clock).await;
        let browser = Browser::new(&app);
        let mut spec = devices(0, 1).remove(0);
        spec.behaviour.lose_check_out = true;
        let serial = spec.serial.clone();
        enrol(&app, &browser.profile_of("priya@example.org").await, &spec).await.unwrap();
        assert_eq!(person_of(&app, &serial).await, "priya@example.org");
        let id = |app: &App| {
            let (context, serial) = (app.context.clone(), serial.clone());
            async move { look::device(&context, serial).await.unwrap().device.udid }
        };
        let before = id(&app).await;

        // Wiped: no CheckOut comes. Priya enrols it again, then hands it on.
        app.fleet.device(&serial).unwrap().unenrol().await;
        enrol(&app, &browser.profile_of("priya@example.org").await, &spec).await.unwrap();
        assert_eq!(person_of(&app, &serial).await, "priya@example.org");
        app.fleet.device(&serial).unwrap().unenrol().await;
        enrol(&app, &browser.profile_of("lena@example.org").await, &spec).await.unwrap();
        assert_eq!(person_of(&app, &serial).await, "lena@example.org");
        assert_eq!(id(&app).await, before, "it is the same device");

        // Then it becomes a shared one.
        app.fleet.device(&serial).unwrap().unenrol().await;
        let made = codes::make(&app.context, EnrolCodesRequest::default(), "anna").await.unwrap();
        let path = format!("/enrol/{}/profile.mobileconfig", made.codes[0].code);
        enrol(&app, &browser.get(&path).await.body, &spec).await.unwrap();
        assert_eq!(person_of(&app, &serial).await, "");

        // What an administrator said stays: that person never signed in on it.
        let edit = DeviceEditRequest { person: Some("priya@example.org".into()), ..DeviceEditRequest::default() };
        device_notes::edit(&app.context, serial.clone(), edit, "anna").await.unwrap();
        app.fleet.device(&serial).unwrap().unenrol().await;
        let made = codes::make(&app.context, EnrolCodesRequest::default(), "anna").await.unwrap();
        let path = format!("/enrol/{}/profile.mobileconfig", made.codes[0].code);
        enrol(&app, &browser.get(&path).await.body, &spec).await.unwrap();
        assert_eq!(person_of(&app, &serial).await, "priya@example.org");
        let audit = app.context.store.read(|c| -> Result<Vec<String>, vppd::store::StoreError> {
            let mut statement = c.prepare("SELECT subject FROM audit WHERE what = 'device handed over' ORDER BY id")?;
            let rows = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(rows)
        });
        let told = audit.await.unwrap();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[1].ends_with("from priya@example.org to lena@example.org"), "{told:?}");
        app.assert_clean();
    });
}

#[test]
fn a_device_that_tells_its_serial_number_late_is_theirs_who_signed_in_all_the_same() {
    story(|clock| async move {
        let app = with_people(clock).await;
        let mut spec = devices(0, 1).remove(0);
        spec.behaviour.minimal_authenticate = true;
        enrol(&app, &Browser::new(&app).profile_of("priya@example.org").await, &spec).await.unwrap();
        assert_eq!(person_of(&app, &spec.serial).await, "", "nobody knows yet which device it is");
        app.wait(minutes(5)).await;
        assert_eq!(person_of(&app, &spec.serial).await, "priya@example.org");
    });
}

#[test]
fn a_device_restored_from_its_own_backup_is_enrolled_again_by_its_token_update() {
    story(|clock| async move {
        let app = App::start(clock, &[]).await;
        app.enrol(devices(0, 2)).await;
        app.wait(minutes(5)).await;
        for (number, removed) in [(0, false), (1, true)] {
            let serial = devices(0, 2)[number].serial.clone();
            let device = app.fleet.device(&serial).unwrap();
            let backup = device.back_up().unwrap();
            if removed {
                let removal = vppd::operations::device_removal::remove(&app.context, serial.clone(), "test").await;
                removal.unwrap();
            }
            device.unenrol().await;
            let left = look::device(&app.context, serial.clone()).await.unwrap().device.state;
            assert!(matches!(left, DeviceState::CheckedOut | DeviceState::Removed), "{left:?}");
            let restored = device.restore(backup).await;
            if removed {
                // An administrator removed it, and with it its identity: it must enrol anew.
                let refused = restored.unwrap_err().to_string();
                assert!(refused.contains("400"), "{refused}");
                continue;
            }
            restored.unwrap();
            tokio::spawn(device.clone().run());
            let back = look::device(&app.context, serial.clone()).await.unwrap().device;
            assert_eq!(back.state, DeviceState::Enrolled);
            app.wait(minutes(5)).await;
            let back = look::device(&app.context, serial.clone()).await.unwrap().device;
            assert_eq!((back.queue, back.supervised), (0, Some(true)), "it is asked and answers");
            // Somebody else's identity does not bring it back.
            let other = app.fleet.device(&devices(0, 2)[1 - number].serial).unwrap();
            assert!(other.back_up().is_some());
        }
    });
}

#[test]
fn the_command_line_makes_codes_on_paper_links_and_hashes() {
    story(|clock| async move {
        let app = App::start(clock, &[]).await;
        let ok = |output: std::process::Output| {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let file = app.path("cards.pdf").display().to_string();
        let codes = ["enrol", "codes", "--count", "12", "--label", "Room 12", "--lang", "de", "--pdf", &file];
        let said = ok(cli(&app, &codes).await);
        assert!(said.starts_with("Wrote 12 codes to "), "{said}");
        let bytes = std::fs::read(app.path("cards.pdf")).unwrap();
        assert!(bytes.starts_with(b"%PDF-"));
        // As a camera sees the first sheet.
        let sheet = app.path("sheet").display().to_string();
        let mut read = std::collections::BTreeSet::new();
        // One picture of ten codes at once may hide one from the reader that it sees in another.
        for resolution in [300, 200, 150] {
            done("pdftoppm", format!("-r {resolution} -png -singlefile {file} {sheet}"), Vec::new()).await;
            let seen = done("zbarimg", format!("--quiet --raw {sheet}.png"), Vec::new()).await;
            read.extend(String::from_utf8(seen).unwrap().lines().map(str::to_owned));
        }
        let seen = Vec::from_iter(read).join("\n");
        assert_eq!(seen.lines().count(), 10, "{seen}");
        assert!(
            seen.lines().all(|line| line.starts_with("https://localhost:") && line.contains("/enrol?code=")),
            "{seen}"
        );
        let pictures = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("pictures");
        std::fs::create_dir_all(&pictures).unwrap();
        std::fs::copy(format!("{sheet}.png"), pictures.join("enrol-codes.png")).unwrap();
        assert!(!cli(&app, &codes).await.status.success(), "no file is replaced unasked");
        let shown = ok(cli(&app, &["enrol", "codes", "--count", "2"]).await);
        assert!(shown.contains("/enrol?code="), "{shown}");
        let link = ok(cli(&app, &["enrol", "link", "--count", "30", "--expires", "8h"]).await);
        assert!(
            link.starts_with("https://localhost:") && link.contains("/profile.mobileconfig\nFor 30 devices"),
            "{link}"
        );
        let list = ok(cli(&app, &["enrol", "list"]).await);
        assert!(list.contains("Room 12") && list.lines().count() == 4, "{list}");
        let batch = list.lines().find(|line| line.contains("Room 12")).unwrap().split(' ').next().unwrap().to_owned();
        assert_eq!(ok(cli(&app, &["enrol", "list", &batch]).await).lines().count(), 13);
        assert!(ok(cli(&app, &["enrol", "revoke", &batch]).await).contains("12 codes"));
        assert!(!ok(cli(&app, &["enrol", "list"]).await).contains("Room 12"));
        assert!(ok(cli(&app, &["enrol", "list", "--all"]).await).contains("revoked"));
        let trust = app.path("trust.mobileconfig").display().to_string();
        assert!(ok(cli(&app, &["enrol", "trust", "--output", &trust]).await).contains("fingerprint"));
        assert!(std::fs::read(trust).unwrap().starts_with(&[0x30]), "signed");
    });
}

#[test]
fn the_hash_of_a_password_is_made_without_a_daemon_and_fits() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut command = Command::new(env!("CARGO_BIN_EXE_vppd"));
    command.args(["person", "password"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let hash = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && password::fits(&SecretString::from(PASSWORD), Some(hash.trim())), "{hash}");
}
