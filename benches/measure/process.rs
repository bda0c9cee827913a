//! What a process used, as the kernel tells it.

use std::time::Duration;

use anyhow::Context;

/// Ticks of a second in `/proc/PID/stat`: 100 on every Linux that Debian makes.
const TICKS: u64 = 100;

/// CPU time of all threads of a process so far, in user and kernel mode.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
    // The name before the last parenthesis may contain anything; utime and stime are the fields 14 and 15.
    let fields = text.rsplit_once(") ").map(|(_, rest)| rest.split(' ')).with_context(|| format!("{path} is odd"))?;
    let ticks: u64 = fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap_or(0)).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS))
}

/// Memory of a process in bytes: a line of `/proc/PID/status` (VmRSS, VmHWM) or of `smaps_rollup` (Pss).
pub fn memory(pid: u32, line: &str) -> anyhow::Result<f64> {
    let file = if line == "Pss" { "smaps_rollup" } else { "status" };
    let path = format!("/proc/{pid}/{file}");
    let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
    let found = text.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':')?.trim().strip_suffix(" kB"));
    let kilobytes: f64 = found.with_context(|| format!("{path} does not tell {line}"))?.parse()?;
    Ok(kilobytes * 1024.0)
}
