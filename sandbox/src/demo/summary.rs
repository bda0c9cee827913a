//! What came out of the demo: as JSON for programs and as a table for people. Knows only the numbers.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::bound;
use super::screen::Paint;
use crate::appliance::{Look, PairRow, Silent, Stage};

/// The outcome. The counts are those of the required apps together.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    pub devices: u64,
    pub owned: u64,
    pub assigned: u64,
    pub installed: u64,
    /// Pairs that wait for a licence.
    pub waiting: u64,
    pub failed: u64,
    /// Pairs that failed, by reason.
    pub failed_reasons: BTreeMap<String, u64>,
    /// Pairs whose owner said no.
    pub declined: u64,
    /// Pairs whose owner says nothing.
    pub unanswered: u64,
    /// Pairs of devices that stay away.
    pub away: u64,
    pub apple_calls: u64,
    pub apple_calls_lower_bound: u64,
    /// For names and icons of apps.
    pub store_calls: u64,
    /// By endpoint, without those to the stores.
    pub apple_calls_by_endpoint: BTreeMap<String, u64>,
    /// From the start of vppd until everything rested.
    pub seconds: f64,
    pub enrolment_seconds: f64,
    pub rollout_seconds: f64,
    pub installs_before_licence: u64,
    /// Answers 9709: not enough licences.
    pub answers_9709: u64,
    /// Answers 9646: too many requests.
    pub answers_9646: u64,
    /// Messages that the sandbox's Apple, its APNs or a device refused to understand.
    pub refused_messages: u64,
    /// Answers 401 that devices got.
    pub answers_401: u64,
    pub views_agree: bool,
    pub disagreements: Vec<String>,
    pub apps: Vec<AppSummary>,
}

/// One required app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AppSummary {
    pub adam_id: String,
    pub name: String,
    pub owned: u64,
    pub wanted: u64,
    pub assigned: u64,
    pub installed: u64,
    pub waiting: u64,
    pub declined: u64,
    pub unanswered: u64,
    pub away: u64,
    pub failed: u64,
}

impl AppSummary {
    fn add(&mut self, other: &AppSummary) {
        self.owned += other.owned;
        self.wanted += other.wanted;
        self.assigned += other.assigned;
        self.installed += other.installed;
        self.waiting += other.waiting;
        self.declined += other.declined;
        self.unanswered += other.unanswered;
        self.away += other.away;
        self.failed += other.failed;
    }

    fn count(&mut self, pair: &PairRow, silent: &Silent) {
        match pair.stage {
            Stage::Installed => self.installed += 1,
            Stage::WaitingForLicence => self.waiting += 1,
            Stage::Rejected => self.declined += 1,
            Stage::WaitingForPerson => self.unanswered += 1,
            Stage::InstallQueued if silent.away.contains(&pair.serial) => self.away += 1,
            Stage::Failed | Stage::Blocked => self.failed += 1,
            _ => {}
        }
    }
}

impl Summary {
    /// Fills in what vppd says of the apps. `names` are adamId and name.
    pub fn add_apps(&mut self, look: &Look, names: &[(String, String)], silent: &Silent) {
        for detail in &look.apps {
            for row in &detail.apps {
                let name = names.iter().find(|(adam_id, _)| *adam_id == row.adam_id);
                let mut app = AppSummary {
                    adam_id: row.adam_id.clone(),
                    name: name.map_or_else(|| row.adam_id.clone(), |(_, name)| name.clone()),
                    owned: row.owned,
                    wanted: row.wanted,
                    assigned: row.assigned,
                    ..AppSummary::default()
                };
                detail.pairs.iter().for_each(|pair| app.count(pair, silent));
                self.apps.push(app);
            }
            let failed = detail.pairs.iter().filter(|pair| matches!(pair.stage, Stage::Failed | Stage::Blocked));
            for pair in failed {
                *self.failed_reasons.entry(pair.why.clone()).or_default() += 1;
            }
        }
        let total = self.total();
        (self.owned, self.assigned, self.installed) = (total.owned, total.assigned, total.installed);
        (self.waiting, self.failed, self.declined) = (total.waiting, total.failed, total.declined);
        (self.unanswered, self.away) = (total.unanswered, total.away);
    }

    fn total(&self) -> AppSummary {
        let mut total = AppSummary { name: "Together".to_owned(), ..AppSummary::default() };
        self.apps.iter().for_each(|app| total.add(app));
        total
    }

    /// What must not have happened, but has; empty when all is well.
    pub fn violations(&self) -> Vec<String> {
        let mut found: Vec<String> =
            self.disagreements.iter().map(|text| format!("the views differ: {text}")).collect();
        for (what, count) in self.must_be_zero() {
            if count > 0 {
                found.push(format!("{what}: {count}"));
            }
        }
        found
    }

    fn must_be_zero(&self) -> [(&'static str, u64); 5] {
        [
            ("installs that reached a device before Apple had finished that pair", self.installs_before_licence),
            ("answers 9709 (not enough licences) caused by vppd", self.answers_9709),
            ("answers 9646 (too many requests) caused by vppd", self.answers_9646),
            ("messages the sandbox refused", self.refused_messages),
            ("401 sent to a device", self.answers_401),
        ]
    }

    /// The table for people.
    pub fn render(&self, paint: Paint) -> String {
        let mut text = self.table(paint);
        text.push('\n');
        for (reason, count) in &self.failed_reasons {
            line(&mut text, "failed", &paint.bad(&format!("{count} × {reason}")));
        }
        if self.declined + self.unanswered + self.away > 0 {
            let parts = [
                (self.declined, "declined by the person"),
                (self.unanswered, "not answered by the person"),
                (self.away, "for devices that stay away"),
            ];
            let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
            line(&mut text, "not installed", &parts.collect::<Vec<_>>().join(", "));
        }
        let calls = format!("{} (lower bound {}*)", self.apple_calls, self.apple_calls_lower_bound);
        line(&mut text, "calls to Apple", &calls);
        let endpoints = self.apple_calls_by_endpoint.iter().map(|(name, count)| format!("{name} {count}"));
        line(&mut text, "", &endpoints.collect::<Vec<_>>().join(", "));
        line(&mut text, "to its stores", &format!("{}, for names and icons", self.store_calls));
        let time = format!(
            "{:.1} s ({:.1} s to enrol {} devices, {:.1} s from the first deployment to rest)",
            self.seconds, self.enrolment_seconds, self.devices, self.rollout_seconds
        );
        line(&mut text, "time", &time);
        let agree = if self.views_agree { paint.good("yes") } else { paint.bad("NO") };
        line(&mut text, "views agree", &format!("{agree} (Apple, vppd, devices)"));
        text.push('\n');
        for (what, count) in self.must_be_zero() {
            let count = if count == 0 { paint.good("0") } else { paint.bad(&count.to_string()) };
            let _ = writeln!(text, "  {what}: {count}");
        }
        let _ = write!(text, "\n  * {}", bound::FORMULA);
        text
    }

    fn table(&self, paint: Paint) -> String {
        let head = [
            "owned",
            "wanted",
            "assigned",
            "installed",
            "waiting for a licence",
            "declined",
            "unanswered",
            "away",
            "failed",
        ];
        let rows: Vec<AppSummary> = self.apps.iter().cloned().chain([self.total()]).collect();
        let widest = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(3);
        let mut first = format!("  {:widest$}", "App");
        head.iter().for_each(|name| first.push_str(&format!("  {name}")));
        let mut text = paint.bold(&first);
        text.push('\n');
        for row in &rows {
            let cells = [
                row.owned,
                row.wanted,
                row.assigned,
                row.installed,
                row.waiting,
                row.declined,
                row.unanswered,
                row.away,
                row.failed,
            ];
            let _ = write!(text, "  {:widest$}", row.name);
            for (name, cell) in head.iter().zip(cells) {
                let _ = write!(text, "  {cell:>width$}", width = name.len());
            }
            text.push('\n');
        }
        text
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "  {name:14}  {value}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::appliance::Licence;
    use crate::appliance::tests::{look, pair};

    fn summary() -> Summary {
        let silent = Silent { away: ["E".to_owned()].into(), ..Silent::default() };
        let look = look(vec![
            pair("A", "1", Stage::Installed, Licence::Assigned),
            pair("B", "1", Stage::Rejected, Licence::Assigned),
            pair("C", "1", Stage::WaitingForLicence, Licence::None),
            pair("D", "1", Stage::Failed, Licence::Assigned),
            pair("E", "1", Stage::InstallQueued, Licence::Assigned),
        ]);
        let mut summary = Summary {
            devices: 5,
            apple_calls: 11,
            apple_calls_lower_bound: 9,
            store_calls: 13,
            apple_calls_by_endpoint: [("assets".to_owned(), 3), ("status".to_owned(), 8)].into(),
            seconds: 12.34,
            enrolment_seconds: 4.0,
            rollout_seconds: 6.25,
            views_agree: true,
            ..Summary::default()
        };
        summary.add_apps(&look, &[("1".to_owned(), "Atlas Maps".to_owned())], &silent);
        summary
    }

    #[test]
    fn the_table_shows_every_pair_once() {
        let expected = "  \
  App         owned  wanted  assigned  installed  waiting for a licence  declined  unanswered  away  failed
  Atlas Maps    150       5         4          1                      1         1           0     1       1
  Together      150       5         4          1                      1         1           0     1       1

  failed          1 × because
  not installed   1 declined by the person, 1 for devices that stay away
  calls to Apple  11 (lower bound 9*)
                  assets 3, status 8
  to its stores   13, for names and icons
  time            12.3 s (4.0 s to enrol 5 devices, 6.2 s from the first deployment to rest)
  views agree     yes (Apple, vppd, devices)
";
        let text = summary().render(Paint(false));
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("\n  401 sent to a device: 0\n"), "{text}");
    }

    #[test]
    fn json_has_the_documented_keys() {
        let json = serde_json::to_value(summary()).unwrap();
        let numbers = ["owned", "assigned", "installed", "waiting", "failed", "apple_calls", "apple_calls_lower_bound"];
        let expected = [150, 4, 1, 1, 1, 11, 9];
        for (key, value) in numbers.into_iter().zip(expected) {
            assert_eq!(json[key], value, "{key}");
        }
        assert_eq!((&json["installs_before_licence"], &json["views_agree"]), (&0.into(), &true.into()));
        assert_eq!(json["seconds"], 12.34);
    }

    #[test]
    fn every_rule_that_is_broken_is_told() {
        assert!(summary().violations().is_empty());
        let broken = Summary { answers_9646: 2, disagreements: vec!["one".to_owned()], ..summary() };
        let expected = ["the views differ: one", "answers 9646 (too many requests) caused by vppd: 2"];
        assert_eq!(broken.violations(), expected);
    }
}
