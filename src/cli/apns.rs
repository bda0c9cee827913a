//! `vppd apns`: the push certificate, from its request to its renewal. The vendor's key is read by this command alone and goes
//! nowhere.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use secrecy::SecretString;

use super::Session;
use super::enrol::write;
use super::files::read_text;
use super::output::Page;
use super::table::{clean, count, facts};
use crate::operations::push_certificate::sign;
use crate::operations::view::{PushCertificateRequest, PushCertificateView, PushInstallRequest, PushRequestView};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the push certificate that is in use
    Show,
    /// Write the request for a push certificate; its key stays with vppd
    #[command(after_help = STEPS)]
    Csr {
        /// Where to write it; - is standard output
        #[arg(long, short, value_name = "FILE", default_value = "vppd-push-request.pem")]
        output: PathBuf,
        /// Make another key and request, although one waits for its certificate
        #[arg(long)]
        new: bool,
        /// Replace the file if it exists
        #[arg(long)]
        force: bool,
    },
    /// Sign a request with your own MDM vendor certificate, as Apple's portal wants it
    Sign {
        /// The request of `vppd apns csr`
        request: PathBuf,
        /// The vendor's certificate, then Apple's intermediate and root (PEM)
        #[arg(long, value_name = "FILE")]
        vendor_chain: PathBuf,
        /// The key of the vendor's certificate (PEM, RSA, no passphrase)
        #[arg(long, value_name = "FILE")]
        vendor_key: PathBuf,
        /// Where to write what is uploaded; - is standard output
        #[arg(long, short, value_name = "FILE", default_value = "vppd-push-request.b64")]
        output: PathBuf,
        /// Replace the file if it exists
        #[arg(long)]
        force: bool,
    },
    /// Take the certificate that Apple's portal gave, and use it from now on
    Install {
        /// The downloaded file (PEM)
        certificate: PathBuf,
    },
}

const STEPS: &str = "\
Steps:
  vppd apns csr
  vppd apns sign vppd-push-request.pem --vendor-chain chain.pem --vendor-key vendor.key
  (upload vppd-push-request.b64 at identity.apple.com/pushcert; each year with Renew, not Create)
  vppd apns install MDM_Northwind_Certificate.pem
Without a vendor certificate, let an MDM vendor sign the request instead of the second step.";

pub(super) async fn run(command: Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::Show => session.out.show(&session.client.get("/v1/push-certificate").await?, show),
        Command::Csr { output, new, force } => {
            let request = PushCertificateRequest { anew: new };
            let answer = session.client.post("/v1/push-certificate/request", &request).await?;
            let made: PushRequestView = answer.view()?;
            written(&output, made.csr_pem.as_bytes(), force, session, |file| {
                let again = if made.made_now { "" } else { " It is the one that was made before; for another: --new" };
                format!(
                    "The request is in {file}.{again}\nLet an MDM vendor sign it (vppd apns sign, or elsewhere), then upload it at \
                     identity.apple.com/pushcert."
                )
            })
        }
        Command::Sign { request, vendor_chain, vendor_key, output, force } => {
            let csr = read_text(&request, "a certificate request")?;
            let chain = read_text(&vendor_chain, "the vendor's chain")?;
            let key = SecretString::from(read_text(&vendor_key, "the vendor's key")?);
            let signed = sign(&csr, &chain, &key)?;
            written(&output, signed.as_bytes(), force, session, |file| {
                format!(
                    "The signed request is in {file}. Upload it at identity.apple.com/pushcert: Renew for the certificate that is in \
                     use, Create only for the first one. Then: vppd apns install FILE"
                )
            })
        }
        Command::Install { certificate } => {
            let request = PushInstallRequest { certificate: read_text(&certificate, "a push certificate")? };
            session.out.show(&session.client.post("/v1/push-certificate", &request).await?, show)
        }
    }
}

/// Writes a file, or standard output; what is said of the file is `told`.
fn written(
    file: &Path,
    content: &[u8],
    force: bool,
    session: &Session,
    told: impl FnOnce(String) -> String,
) -> anyhow::Result<()> {
    if file == Path::new("-") {
        return session.out.bytes(content);
    }
    write(file, content, force)?;
    let name = file.display().to_string();
    match session.out.json {
        true => session.out.json(&serde_json::json!({ "file": name })),
        false => session.out.text(&told(clean(&name))),
    }
}

fn show(push: &PushCertificateView, page: &Page) -> String {
    if push.topic.is_empty() {
        let next = match push.request_waits {
            true => "A request was made; bring its certificate: vppd apns install FILE",
            false => "The first step: vppd apns csr",
        };
        return format!("There is no push certificate: no device can enrol or be woken.\n{next}");
    }
    let kept = if push.in_settings { "in the files that [apns] certificate and key name" } else { "by vppd" };
    let mut text = facts(
        [
            ("topic", push.topic.clone()),
            ("valid until", page.time(push.expires_at)),
            ("kept", kept.to_owned()),
            ("request", if push.request_waits { "waits for its certificate" } else { "" }.to_owned()),
        ],
        page,
    );
    if push.devices_out_of_reach > 0 {
        let devices = count(push.devices_out_of_reach, "device has", "devices have");
        text.push_str(&format!("\n{devices} enrolled with another topic and cannot be woken."));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{page, time};

    #[test]
    fn a_push_certificate_is_shown_with_what_is_wrong() {
        let mut push = PushCertificateView {
            topic: "com.apple.mgmt.External.1".into(),
            expires_at: Some(time("06:00")),
            in_settings: false,
            request_waits: true,
            devices_out_of_reach: 2,
        };
        let expected = "\
topic:        com.apple.mgmt.External.1
valid until:  2026-11-02 06:00
kept:         by vppd
request:      waits for its certificate
2 devices have enrolled with another topic and cannot be woken.";
        assert_eq!(show(&push, &page(None)), expected);
        push.topic.clear();
        assert!(show(&push, &page(None)).contains("vppd apns install"));
    }
}
