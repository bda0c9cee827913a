//! Asking a person before something that cannot be taken back.

use std::io::{IsTerminal, Write};

/// Says `what` will happen and asks on the terminal; without one, `--yes` has to be said instead.
pub(super) fn confirm(what: &str, question: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        anyhow::bail!("{what}\n  Say --yes if that is what you want.");
    }
    let mut terminal = std::io::stderr();
    write!(terminal, "{what}\n{question} Type yes: ")?;
    terminal.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("yes"))
}
