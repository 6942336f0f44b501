//! How is an explanation read? What was found, what it was compared with, then what differs, old and new.

use affectflow_pipeline::run::why::Why;
use affectflow_pipeline::run::why::diff::Change;
use affectflow_pipeline::run::why::rows::{Named, RowChanges};
use affectflow_pipeline::stage::Shape;

use super::cost::{bytes_about, seconds_about, unsure};
use super::numbers::{count, grouped, to_the_second};
use super::table::table;

/// The explanation of a stage.
pub fn explained(why: &Why) -> String {
    let mut out = String::new();
    let forecast = &why.forecast;
    line(&mut out, "stage", &format!("{}/{}, kind `{}`", why.pipeline, forecast.stage, forecast.kind));
    line(&mut out, "found", &found(why));
    forecast.cause.iter().for_each(|cause| line(&mut out, "", cause));
    if forecast.compute > 0 {
        let (time, size) = (seconds_about(forecast.seconds), bytes_about(forecast.bytes));
        line(&mut out, "cost", &format!("{time} of computing, {size} to write"));
    }
    line(&mut out, "earlier", &earlier(why));
    if why.known {
        line(&mut out, "changed", &changed(why));
    }
    if !why.changes.is_empty() {
        out.push('\n');
        out.push_str(&table(&["field", "before", "now"], 3, why.changes.iter().map(fields)));
    }
    why.rows.iter().for_each(|rows| examples(&mut out, rows));
    if !why.notes.is_empty() {
        out.push('\n');
        why.notes.iter().for_each(|note| out.push_str(&format!("- {note}\n")));
    }
    row(&mut out, why);
    out
}

fn line(out: &mut String, name: &str, text: &str) {
    out.push_str(&format!("{name:<9} {text}\n"));
}

fn found(why: &Why) -> String {
    let forecast = &why.forecast;
    let limit = |unsure: bool| if unsure { "at most " } else { "" };
    let rows = format!("{}{}", limit(forecast.at_most), count(forecast.rows, "row"));
    let quarantined = match forecast.quarantined {
        0 => String::new(),
        some => format!(", {} in quarantine", grouped(some)),
    };
    let to_compute = format!("{}{} to compute", limit(unsure(forecast)), grouped(forecast.compute));
    match why.shape {
        Shape::Source => format!("asked anew at every run: lists {rows}{quarantined}"),
        Shape::Subset => {
            let kept = format!("{}{}", limit(why.leaving_at_most), grouped(why.leaving));
            format!("chooses anew at every run: keeps {kept} of {rows}")
        }
        Shape::Table if forecast.compute == 0 => format!("cached: the result of {rows}"),
        Shape::Table => format!("to compute, from {rows}: {}", forecast.reason),
        Shape::Map => {
            let cached = format!("{} of {rows} cached", grouped(forecast.cached));
            match forecast.compute {
                0 => format!("{cached}{quarantined}"),
                _ => format!("{cached}{quarantined}; {to_compute}: {}", forecast.reason),
            }
        }
    }
}

fn earlier(why: &Why) -> String {
    match &why.against {
        Some(run) => {
            let name = format!("{}/{}", run.pipeline, run.stage);
            let other = name != format!("{}/{}", why.pipeline, why.forecast.stage);
            let of = if other { format!(" as `{name}`") } else { String::new() };
            format!("run `{}`{of}, {}, of {}", run.run, run.outcome, to_the_second(&run.start))
        }
        None if why.known => "one that no recorded run tells of".into(),
        None => "none: nothing is stored of a stage of this kind".into(),
    }
}

fn changed(why: &Why) -> String {
    match why.changes.len() as u64 {
        0 if why.forecast.compute == 0 => {
            "nothing: options, columns, files and artifacts are the same".into()
        }
        0 => "nothing in the stage: options, columns, files and artifacts are the same".into(),
        some => format!("{} of the stage", count(some, "field")),
    }
}

fn fields(change: &Change) -> Vec<String> {
    let words = |value: &Option<_>| value.as_ref().map_or("-".into(), |value| change.words(value));
    vec![change.subject(), words(&change.old), words(&change.new)]
}

fn examples(out: &mut String, rows: &RowChanges) {
    if rows.is_empty() {
        return;
    }
    out.push_str(&format!("\n{rows}\n"));
    let named = |rows: &Named| {
        let more = rows.rows.saturating_sub(rows.examples.len() as u64);
        let more = if more == 0 { String::new() } else { format!(" and {} more", grouped(more)) };
        format!("{}{more}", rows.examples.join(", "))
    };
    for (what, some) in [("added", &rows.added), ("removed", &rows.removed), ("changed", &rows.changed)] {
        if some.rows > 0 {
            out.push_str(&format!("  {what:<7} {}\n", named(some)));
        }
    }
}

fn row(out: &mut String, why: &Why) {
    let Some(row) = &why.row else { return };
    let held = match row.stage == why.forecast.stage {
        true => String::new(),
        false => format!(" does not reach `{}`: at `{}` it", why.forecast.stage, row.stage),
    };
    out.push_str(&format!("\nrow `{}`{held} {}\n", row.id, row.sentence));
    if row.cells.is_empty() {
        return;
    }
    let short = |digest: &str, value: &Option<String>| {
        let digest: String = digest.chars().take(12).collect();
        value.as_ref().map_or(digest.clone(), |value| format!("{digest}  {value}"))
    };
    let cells = row.cells.iter().map(|cell| {
        let (old, new) = (short(&cell.old, &cell.old_value), short(&cell.new, &cell.new_value));
        vec![cell.column.clone(), cell.from.join(", "), old, new]
    });
    out.push('\n');
    out.push_str(&table(&["column", "from", "before", "now"], 4, cells));
}
