//! Measures vppd against its design targets, beside a bare server on the same machine in the same run: `make bench`.
//!
//! The program `vppd` runs as its own process, so that its CPU time and its memory are its own; this process plays the
//! devices and Apple. What the devices send is signed before the clock starts. Every figure is the median of three rounds. Nothing
//! fails because a machine is slow: a limit is shown beside its figure as met or missed.
//!
//! Limits "per core and second" are judged by the CPU time that vppd used, which neither the load generator nor other work
//! on the machine changes; what came through by the clock, with the devices played on the same cores, is shown beside it.

mod bare;
mod figures;
mod fleet;
mod kept;
mod load;
mod packing;
mod planning;
mod process;
mod rounds;
mod shapes;
mod syncs;

use std::path::PathBuf;

use anyhow::Context;

use figures::{Figure, Limit, Report};

fn main() -> anyhow::Result<()> {
    // An error says that a provider is installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        Some(bare::ARGUMENT) => bare::serve(words.next().context("no folder with the certificate was given")?.as_ref()),
        Some(planning::ARGUMENT) => planning::measure(&words.next().context("no size of a fleet was given")?),
        // Cargo adds --bench, behind what was said.
        Some(PACKING) => measure(Some(PACKING)),
        Some(SYNCS) => measure(Some(SYNCS)),
        Some(KEPT) => measure(Some(KEPT)),
        _ => measure(None),
    }
}

/// Makes this program measure syncs alone.
const SYNCS: &str = "syncs";
/// Makes this program measure the plan that the daemon keeps alone.
const KEPT: &str = "kept";
/// Makes this program measure requests for licences alone.
const PACKING: &str = "packing";

/// Measures everything, or `only` this.
fn measure(only: Option<&str>) -> anyhow::Result<()> {
    let mut report = Report::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if only.is_none() {
        runtime.block_on(rounds::measure(&mut report))?;
        planning::measure_in_a_child(&mut report)?;
        report.add(package()?);
    }
    if only.is_none_or(|only| only == KEPT) {
        runtime.block_on(kept::measure(&mut report))?;
    }
    if only.is_none_or(|only| only == PACKING) {
        packing::measure(&mut report);
    }
    if only.is_none_or(|only| only == SYNCS) {
        runtime.block_on(syncs::measure(&mut report))?;
    }
    println!("{report}");
    if let Some(file) = std::env::var_os("BENCH_JSON").map(PathBuf::from) {
        std::fs::write(&file, report.json()).with_context(|| format!("could not write {}", file.display()))?;
    }
    Ok(())
}

/// The size of the newest Debian package, if one was built.
fn package() -> anyhow::Result<Figure> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/deb");
    let mut newest = None;
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Debug symbols are a package of their own.
        if name.starts_with("vppd_") && name.ends_with(".deb") {
            let about = entry.metadata()?;
            newest = newest.max(Some((about.modified()?, about.len())));
        }
    }
    let figure = Figure::new("size of the .deb", "MB").limit(Limit::Below(10.0));
    Ok(match newest {
        Some((_, bytes)) => figure.values([bytes as f64 / 1e6]),
        None => figure.missing("not built"),
    })
}
