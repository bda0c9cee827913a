//! `vppd enrol codes`, `link`, `list`, `revoke` and `trust`.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::sheet::{self, Language};
use super::{Expiry, already_there, expiry, write};
use crate::cli::client::{ClientError, segment};
use crate::cli::output::Page;
use crate::cli::table::{Grid, clean, count, dash, word};
use crate::cli::{Session, WrongArguments};
use crate::operations::view::*;

#[derive(Debug, clap::Args)]
pub struct Codes {
    /// How many codes, each for one device
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// What to call them, such as the class that they are for
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Until when: a duration such as 8h, or a time such as 2026-12-01T12:00:00Z [default: 30d]
    #[arg(long, value_name = "WHEN", value_parser = expiry)]
    expires: Option<Expiry>,
    /// Write them as cards with QR codes into this file, and show none here
    #[arg(long, value_name = "FILE")]
    pdf: Option<PathBuf>,
    /// The language of the cards
    #[arg(long, value_name = "LANGUAGE", value_enum, default_value_t = Language::En)]
    lang: Language,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
pub struct Link {
    /// How many devices may use it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// What to call it
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Until when: a duration such as 8h, or a time such as 2026-12-01T12:00:00Z [default: 30d]
    #[arg(long, value_name = "WHEN", value_parser = expiry)]
    expires: Option<Expiry>,
}

#[derive(Debug, clap::Args)]
pub struct List {
    /// Only the codes of this batch, one by one
    #[arg(value_name = "BATCH")]
    batch: Option<String>,
    /// Also what is used up, over or withdrawn
    #[arg(long)]
    all: bool,
}

#[derive(Debug, clap::Args)]
pub struct Revoke {
    /// The batch of codes, or the reference of a code, a link or a profile, as `vppd enrol list` shows it
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub struct Trust {
    /// Where to write the profile
    #[arg(long, short, value_name = "FILE", default_value = "trust.mobileconfig")]
    output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

fn request(count: u32, label: Option<String>, expires: Option<Expiry>, session: &Session) -> EnrolCodesRequest {
    let expires_at = expires.map(|expiry| expiry.time(&session.clock));
    EnrolCodesRequest { count: Some(count), label, expires_at }
}

pub(super) async fn codes(arguments: Codes, session: &Session) -> anyhow::Result<()> {
    if let Some(file) = arguments.pdf.as_deref().filter(|_| !arguments.force) {
        // Before codes are made for nothing; `write` makes sure.
        anyhow::ensure!(!file.exists(), already_there(file));
    }
    let request = request(arguments.count, arguments.label, arguments.expires, session);
    let answer = session.client.post("/v1/enrolment-codes", &request).await?;
    let Some(file) = arguments.pdf else { return session.out.show(&answer, list_codes) };
    let made: EnrolCodesView = answer.view()?;
    write(&file, &sheet::pdf(&made, arguments.lang, &session.out.page)?, arguments.force)?;
    if session.out.json {
        let mut json = answer.json()?;
        if let Some(json) = json.as_object_mut() {
            json.remove("codes");
            json.insert("file".to_owned(), file.display().to_string().into());
        }
        return session.out.json(&json);
    }
    session.out.text(&written(&made, &file, &session.out.page))
}

fn written(made: &EnrolCodesView, file: &Path, page: &Page) -> String {
    format!(
        "Wrote {} to {}, to be used until {}.\nWhoever has a code can enrol a device. To withdraw what is left of them: vppd \
         enrol revoke {}",
        count(made.codes.len() as u64, "code", "codes"),
        clean(&file.display().to_string()),
        page.time(made.expires_at),
        made.batch
    )
}

fn list_codes(made: &EnrolCodesView, page: &Page) -> String {
    let mut grid = Grid::new(&["REFERENCE", "CODE", "?ADDRESS"]);
    for code in &made.codes {
        grid.row([code.reference.clone(), code.code.clone(), code.url.clone()]);
    }
    format!(
        "{}\nEach is for one device, until {}; this is the only time that they are shown. They are typed at {}",
        grid.show(page),
        page.time(made.expires_at),
        clean(&made.page)
    )
}

pub(super) async fn link(arguments: Link, session: &Session) -> anyhow::Result<()> {
    let request = request(arguments.count, arguments.label, arguments.expires, session);
    let answer = session.client.post("/v1/enrolment-links", &request).await?;
    session.out.show(&answer, |made: &EnrolLinkView, page| {
        format!(
            "{}\nFor {}, until {}. Whoever has it can enrol; this is the only time that it is shown. To withdraw it: vppd \
             enrol revoke {}",
            clean(&made.url),
            count(made.count.into(), "device", "devices"),
            page.time(made.expires_at),
            made.reference
        )
    })
}

pub(super) async fn list(arguments: List, session: &Session) -> anyhow::Result<()> {
    let answer = session.client.get("/v1/enrolments").await?;
    let all: Vec<EnrolmentView> = answer.view()?;
    let wanted = |one: &EnrolmentView| match &arguments.batch {
        Some(batch) => one.batch == *batch,
        None => arguments.all || one.state == EnrolmentState::Open,
    };
    if session.out.json {
        let json: Vec<serde_json::Value> = answer.view()?;
        let chosen = json.into_iter().zip(&all).filter(|(_, one)| wanted(one)).map(|(json, _)| json);
        return session.out.json(&serde_json::Value::Array(chosen.collect()));
    }
    let chosen: Vec<EnrolmentView> = all.into_iter().filter(wanted).collect();
    let rows = if arguments.batch.is_some() { chosen } else { by_batch(chosen) };
    session.out.text(&table(&rows, &session.out.page))
}

/// Codes that were made together as one line.
fn by_batch(all: Vec<EnrolmentView>) -> Vec<EnrolmentView> {
    let mut rows: Vec<EnrolmentView> = Vec::new();
    for one in all {
        let same =
            |row: &&mut EnrolmentView| !one.batch.is_empty() && row.reference == one.batch && row.state == one.state;
        match rows.iter_mut().find(same) {
            Some(row) => {
                row.uses += one.uses;
                row.used += one.used;
            }
            None if one.batch.is_empty() => rows.push(one),
            None => rows.push(EnrolmentView { reference: one.batch.clone(), kind: "codes".to_owned(), ..one }),
        }
    }
    rows
}

fn table(rows: &[EnrolmentView], page: &Page) -> String {
    if rows.is_empty() {
        return "Nothing is given out with which a device could enrol. See: vppd enrol --help".to_owned();
    }
    let mut grid = Grid::new(&["REFERENCE", "KIND", "STATE", ">USED", ">OF", "UNTIL", "?BY", "~FOR"]);
    for row in rows {
        let whom = row.serial.clone().unwrap_or_else(|| row.label.clone());
        grid.row([
            row.reference.clone(),
            row.kind.clone(),
            word(&row.state),
            row.used.to_string(),
            row.uses.to_string(),
            page.time(row.expires_at),
            row.created_by.clone(),
            dash(&whom),
        ]);
    }
    grid.show(page)
}

pub(super) async fn revoke(arguments: Revoke, session: &Session) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for name in &arguments.names {
        let answer = session.client.delete(&format!("/v1/enrolments/{}", segment(name))).await?;
        if session.out.json {
            all.push(answer.json()?);
            continue;
        }
        let done: EnrolRevokedView = answer.view()?;
        session.out.text(&match done.revoked {
            0 => format!("{} could not be used any more: nothing was changed.", clean(&done.name)),
            1 => format!("{} is withdrawn. Devices that have enrolled with it stay.", clean(&done.name)),
            more => format!(
                "{} is withdrawn: {more} codes. Devices that have enrolled with others stay.",
                clean(&done.name)
            ),
        })?;
    }
    if session.out.json { session.out.json(&serde_json::Value::Array(all)) } else { Ok(()) }
}

pub(super) async fn trust(arguments: Trust, session: &Session) -> anyhow::Result<()> {
    if session.out.json && arguments.output == Path::new("-") {
        let message = "--json and --output - both want standard output: choose one, or name a file with --output";
        return Err(WrongArguments(message.to_owned()).into());
    }
    let answer = session.client.get("/v1/enrolment-trust").await?;
    let view: EnrolTrustView = answer.view()?;
    let Some(profile) = &view.profile else {
        return session.out.text("Devices trust the server by themselves: no profile is needed, and none was written.");
    };
    let profile =
        STANDARD.decode(profile).map_err(|_| ClientError::NotUnderstood("the profile is not base64".to_owned()))?;
    if arguments.output == Path::new("-") {
        return session.out.bytes(&profile);
    }
    write(&arguments.output, &profile, arguments.force)?;
    if session.out.json {
        return session.out.json(&serde_json::json!({
            "file": arguments.output.display().to_string(), "fingerprints": view.fingerprints
        }));
    }
    session.out.text(&format!(
        "Wrote {}: with it a device recognises this server. It is no secret. Its fingerprint (SHA-256), to be compared on the \
         device:\n{}",
        clean(&arguments.output.display().to_string()),
        view.fingerprints.join("\n")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{page, time};

    fn code(number: u32, used: u32, state: EnrolmentState) -> EnrolmentView {
        EnrolmentView {
            reference: format!("c-0a1b2c3d-{number:02}"),
            kind: "code".into(),
            batch: "c-0a1b2c3d".into(),
            label: "Class 3b".into(),
            serial: None,
            state,
            uses: 1,
            used,
            expires_at: time("12:00"),
            created_at: time("05:00"),
            created_by: "root".into(),
        }
    }

    #[test]
    fn codes_of_a_batch_are_one_line_for_each_state() {
        let all = vec![
            code(1, 1, EnrolmentState::Used),
            code(2, 0, EnrolmentState::Open),
            code(3, 0, EnrolmentState::Open),
            EnrolmentView {
                batch: String::new(),
                reference: "l-1".into(),
                kind: "link".into(),
                uses: 30,
                ..code(4, 7, EnrolmentState::Open)
            },
        ];
        let shown = table(&by_batch(all), &page(None));
        let expected = "\
REFERENCE   KIND   STATE  USED  OF  UNTIL             BY    FOR
c-0a1b2c3d  codes  used      1   1  2026-11-02 12:00  root  Class 3b
c-0a1b2c3d  codes  open      0   2  2026-11-02 12:00  root  Class 3b
l-1         link   open      7  30  2026-11-02 12:00  root  Class 3b";
        assert_eq!(shown, expected);
    }
}
