//! Fault points for the crash tests: with the feature `fault-points`, the process ends at once, as by `kill -9`, when it
//! passes the n-th point, n being given in `VPPD_FAULT_AT`. With `VPPD_FAULT_TRACE` set it only tells each point it passes,
//! so that they can be counted. Without the feature nothing of this is compiled in.

/// A place where the process may be killed. `name` is for the reader of the code.
#[cfg(not(feature = "fault-points"))]
#[inline(always)]
pub fn point(_name: &str) {}

/// A place where the process may be killed.
#[cfg(feature = "fault-points")]
pub fn point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static AT: OnceLock<u64> = OnceLock::new();
    static TRACE: OnceLock<bool> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let at = *AT.get_or_init(|| std::env::var("VPPD_FAULT_AT").ok().and_then(|n| n.parse().ok()).unwrap_or(0));
    let trace = *TRACE.get_or_init(|| std::env::var_os("VPPD_FAULT_TRACE").is_some());
    let passed = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
    if trace || passed == at {
        eprintln!("fault point {passed}: {name}");
    }
    if passed == at {
        std::process::abort();
    }
}
