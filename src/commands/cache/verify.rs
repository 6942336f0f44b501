//! `cache verify`: every stored byte is checked. What is damaged is moved aside and listed; the next run computes it again.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use affectflow_pipeline::cache::Damage;
use affectflow_pipeline::run::verify::{Verified, verify};
use serde_json::json;

use crate::commands::run::on_interrupt;
use crate::exit::{Exit, Outcome};
use crate::project::Project;
use crate::view::meter::Meter;
use crate::view::numbers::{bytes, count, duration};
use crate::view::table::table;

/// Arguments of `cache verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Checks, and tells.
pub fn run(args: Args, project: &Project) -> Outcome {
    let state = project.existing()?;
    state.cache.check_format()?;
    let stop = Arc::new(AtomicBool::new(false));
    on_interrupt(stop.clone(), || false)?;
    let (began, meter) = (Instant::now(), Meter::new());
    let verified = verify(&state.cache, &stop, |done, total| meter.tell(done, total));
    meter.end();
    let verified = verified?;
    let seconds = began.elapsed().as_secs_f64();
    let mut out = std::io::stdout().lock();
    match args.json {
        true => write_json(&mut out, &verified, seconds)?,
        false => write_words(&mut out, &verified, seconds)?,
    }
    Ok(if verified.damage.is_empty() { Exit::Done } else { Exit::Damaged })
}

fn write_json(out: &mut impl Write, verified: &Verified, seconds: f64) -> std::io::Result<()> {
    let damage = |d: &Damage| json!({ "path": d.path, "what": d.what, "aside": d.aside });
    let damage: Vec<_> = verified.damage.iter().map(damage).collect();
    let line =
        json!({ "files": verified.files, "bytes": verified.bytes, "seconds": seconds, "damage": damage });
    writeln!(out, "{line}")
}

fn write_words(out: &mut impl Write, verified: &Verified, seconds: f64) -> std::io::Result<()> {
    let damage = &verified.damage;
    let found = match damage.is_empty() {
        true => "whole".to_owned(),
        false => format!("{} damaged", count(damage.len() as u64, "file")),
    };
    let rate = bytes((verified.bytes as f64 / seconds.max(1e-9)) as u64);
    let (files, size) = (count(verified.files, "file"), bytes(verified.bytes));
    writeln!(out, "{files}, {size} in {} ({rate}/s): {found}", duration(seconds))?;
    if damage.is_empty() {
        return Ok(());
    }
    let aside = |d: &Damage| d.aside.clone().unwrap_or_else(|| "could not be moved".into());
    let rows = damage.iter().map(|d| vec![d.path.clone(), d.what.clone(), aside(d)]);
    write!(out, "\n{}", table(&["file", "what is wrong", "moved to"], 3, rows))?;
    writeln!(out, "\nthe next run computes again what is missing, and nothing else")
}
