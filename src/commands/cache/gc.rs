//! `cache gc`: what no kept run needs is removed, and what it would cost to compute it again is told.

use std::io::Write;
use std::time::Duration;

use affectflow_pipeline::run::space::gc::{Gone, Policy, Removed, What, gc};
use affectflow_pipeline::{spec, units};
use serde_json::json;

use crate::commands::tell_damage;
use crate::exit::{Exit, Outcome};
use crate::project::Project;
use crate::view::cost::seconds_about;
use crate::view::numbers::{bytes, count, day, grouped};
use crate::view::table::table;

/// Digits of a name that are shown.
const SHOWN: usize = 12;

/// Arguments of `cache gc`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// Keep runs that ended less long ago: `12h`, `30d`, `2w`
    #[arg(long, value_name = "AGE", default_value = "30d", value_parser = age)]
    older_than: Duration,
    /// Hold this size: `20GB`, `512MiB`; the least recently used results go first, never those of runs at work [default:
    /// `cache: {max_size}` of the pipeline file]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
    /// Show what would go; removes nothing
    #[arg(long)]
    dry_run: bool,
    /// Print a line of JSON for each thing that goes, then one with the sums
    #[arg(long)]
    json: bool,
}

const AFTER: &str = "\
Examples:
  affectflow cache gc --dry-run                      what would go
  affectflow cache gc --older-than 7d                keep a week
  affectflow cache gc --max-size 20GB                hold a size";

fn age(text: &str) -> Result<Duration, &'static str> {
    units::age(text).ok_or(units::AGES)
}

fn size(text: &str) -> Result<u64, &'static str> {
    units::size(text).ok_or(units::SIZES)
}

/// Removes, or only looks.
pub fn run(args: Args, project: &Project) -> Outcome {
    let state = project.existing()?;
    let max_size = args.max_size.or_else(|| limit_of_file(project));
    let policy = Policy { older_than: Some(args.older_than), max_size, dry_run: args.dry_run };
    let removed = gc(&state, &policy)?;
    tell_damage(&removed.damage);
    for run in &removed.unreadable {
        eprintln!("warning: the record of run `{run}` cannot be read: what is newer than it was kept");
    }
    if let Some(max) = max_size.filter(|&max| removed.left > max) {
        let why = match removed.pinned {
            0 => "what is left says how results were made".to_owned(),
            pinned => format!("runs at work use {} of them", bytes(pinned)),
        };
        eprintln!("warning: {} stay although {} are asked for: {why}", bytes(removed.left), bytes(max));
    }
    let mut out = std::io::stdout().lock();
    match args.json {
        true => write_json(&mut out, &removed)?,
        false => write_table(&mut out, &removed, args.dry_run)?,
    }
    Ok(Exit::Done)
}

/// The limit that the pipeline file sets, if there is such a file.
fn limit_of_file(project: &Project) -> Option<u64> {
    let file = project.file.display();
    let (spec, problems) = project.file.is_file().then(|| spec::load_lenient(&project.file, &[]))?;
    match spec {
        Some(spec) => {
            let max = spec.max_size?;
            eprintln!("holding {}, the `max_size` of `{file}`", bytes(max));
            Some(max)
        }
        None => {
            let why = problems.first().map(|problem| problem.message.as_str()).unwrap_or_default();
            eprintln!("warning: `{file}` cannot be read, so no limit that it may set is held: {why}");
            None
        }
    }
}

fn write_json(out: &mut impl Write, removed: &Removed) -> std::io::Result<()> {
    for gone in &removed.gone {
        writeln!(out, "{}", serde_json::to_string(gone)?)?;
    }
    let total = json!({
        "total": { "files": files(removed), "bytes": size_of(removed), "left": removed.left, "pinned": removed.pinned }
    });
    writeln!(out, "{total}")
}

fn write_table(out: &mut impl Write, removed: &Removed, dry_run: bool) -> std::io::Result<()> {
    let left = bytes(removed.left);
    if removed.gone.is_empty() && removed.leftovers.0 == 0 {
        return writeln!(out, "nothing to remove, {left} in use");
    }
    let head = ["what", "stage", "pipelines", "rows", "size", "last used", "to recompute"];
    write!(out, "{}", table(&head, 3, rows(&removed.gone)))?;
    let verb = if dry_run { "would be removed" } else { "removed" };
    let (files, size) = (count(files(removed), "file"), bytes(size_of(removed)));
    let seconds: Vec<Option<f64>> =
        removed.gone.iter().filter(|gone| result(gone)).map(|g| g.seconds).collect();
    let cost = match seconds.iter().any(Option::is_none) {
        true => "unknown".to_owned(),
        false => seconds_about(Some(seconds.into_iter().flatten().sum())),
    };
    writeln!(out, "\n{verb}: {files}, {size} (to recompute: {cost}); {left} stay")
}

/// A line for each result; everything else is small and many, and stands in a line a kind.
fn rows(gone: &[Gone]) -> Vec<Vec<String>> {
    let mut lines: Vec<Vec<String>> = gone.iter().filter(|gone| result(gone)).map(line).collect();
    for (what, one, many) in [
        (What::Checkpoint, "checkpoint", "checkpoints"),
        (What::Artifact, "artifact", "artifacts"),
        (What::List, "list of rows", "lists of rows"),
        (What::Identity, "identity", "identities"),
        (What::Damaged, "damaged file", "damaged files"),
    ] {
        let all: Vec<&Gone> = gone.iter().filter(|gone| gone.what == what).collect();
        let Some(newest) = all.iter().map(|gone| gone.used.as_deref()).max() else { continue };
        let size = bytes(all.iter().map(|gone| gone.bytes).sum());
        let dash = || "-".to_owned();
        let what = format!("{} {}", grouped(all.len() as u64), if all.len() == 1 { one } else { many });
        lines.push(vec![what, dash(), dash(), dash(), size, day(newest), dash()]);
    }
    lines
}

fn line(gone: &Gone) -> Vec<String> {
    let name = gone.name.get(..SHOWN).unwrap_or(&gone.name);
    let what = match gone.what {
        What::Table => "table",
        What::Superseded => "superseded",
        _ => "rows",
    };
    vec![
        format!("{what} {name}"),
        gone.stage.clone().unwrap_or_else(|| "-".into()),
        gone.pipelines.join(", "),
        gone.rows.map_or("-".into(), grouped),
        bytes(gone.bytes),
        day(gone.used.as_deref()),
        seconds_about(gone.seconds),
    ]
}

fn result(gone: &Gone) -> bool {
    matches!(gone.what, What::Table | What::Rows | What::Superseded)
}

fn files(removed: &Removed) -> u64 {
    removed.gone.iter().map(|gone| gone.files).sum::<u64>() + removed.leftovers.0
}

fn size_of(removed: &Removed) -> u64 {
    removed.gone.iter().map(|gone| gone.bytes).sum::<u64>() + removed.leftovers.1
}
