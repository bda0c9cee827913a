//! One program for all targets: libFuzzer invents the bytes, `VPPD_FUZZ_TARGET` says who gets them.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vppd_fuzz::{TARGETS, Target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("VPPD_FUZZ_TARGET").unwrap_or_default();
    match TARGETS.iter().find(|(known, _)| *known == name) {
        Some((_, target)) => *target,
        None => panic!("VPPD_FUZZ_TARGET is {name:?}, none of {:?}", TARGETS.map(|(known, _)| known)),
    }
});

fuzz_target!(|bytes: &[u8]| TARGET(bytes));
