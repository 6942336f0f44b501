//! `stages`: the kinds registered; for one, everything that a writer of pipelines wants to know.

use std::io::Write;

use affectflow_pipeline::plan::manual::{Manual, ManualOption, manual};
use affectflow_pipeline::{Registry, Retry};

use crate::exit::{Exit, Failure, Outcome};
use crate::view::table::table;

/// Arguments of `stages`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The kind to describe; all are listed where left out
    kind: Option<String>,
}

/// Prints the list or the page.
pub fn run(args: Args, registry: &Registry) -> Outcome {
    let mut out = std::io::stdout().lock();
    let Some(kind) = args.kind else {
        let rows = registry.kinds().map(|kind| {
            let about = kind.about();
            vec![about.kind.to_owned(), shape(&manual(kind.as_ref())).to_owned(), about.summary.to_owned()]
        });
        write!(out, "{}", table(&["kind", "shape", "what it does"], 3, rows))?;
        writeln!(out, "\n`affectflow stages KIND` describes one")?;
        return Ok(Exit::Done);
    };
    let Some(found) = registry.get(&kind) else {
        let known: Vec<&str> = registry.kinds().map(|kind| kind.about().kind).collect();
        let hint = format!("the kinds are {}", known.join(", "));
        return Err(Failure::wrong(format!("there is no kind `{kind}`"), hint));
    };
    write!(out, "{}", page(&manual(found.as_ref())))?;
    Ok(Exit::Done)
}

fn shape(manual: &Manual) -> &'static str {
    use affectflow_pipeline::Shape::*;
    match manual.shape {
        Source => "source",
        Map => "map",
        Subset => "subset",
        Table => "table",
    }
}

fn meaning(manual: &Manual) -> &'static str {
    use affectflow_pipeline::Shape::*;
    match manual.shape {
        Source => "source: brings rows in",
        Map => "map: each row on its own, cached per row",
        Subset => "subset: chooses rows",
        Table => "table: needs all rows, cached as a whole",
    }
}

fn page(manual: &Manual) -> String {
    let mut text =
        format!("{}: {}\n\n{} (version {})\n", manual.kind, manual.summary, meaning(manual), manual.version);
    text += &format!("\nExample\n{}\n", indented(manual.example));
    if !manual.columns.is_empty() {
        text += "\nColumns it adds\n";
        for (name, kind, meaning) in manual.columns {
            text += &format!("  {name}: {kind}\n      {meaning}\n");
        }
    }
    text += "\nOptions\n";
    manual.options.iter().for_each(|option| text += &entry(option));
    text += retrying(manual);
    text
}

/// What can be written beside `kind:` and `config:` of a stage that computes.
fn retrying(manual: &Manual) -> &'static str {
    match manual.retry {
        None => "",
        Some(Retry::Safe) => {
            "\nSafe to try again: beside `config`, `retries: 2` and `retry_wait: 1s` try failures again, `time_limit: 30s` limits a try\n"
        }
        Some(Retry::Unsafe) => {
            "\nNot safe to try again: it takes no `retries`; beside `config`, `time_limit: 30s` limits its only try\n"
        }
    }
}

fn entry(option: &ManualOption) -> String {
    let mut facts = vec![option.takes.clone()];
    facts.extend(option.unit.as_ref().map(|unit| format!("in {unit}")));
    match (&option.default, option.required) {
        (_, true) => facts.push("required".into()),
        (Some(default), _) => facts.push(format!("default `{default}`")),
        (None, _) => {}
    }
    if !option.identity {
        facts.push("changes no result, so nothing is computed again".into());
    }
    format!("  {}: {}\n{}\n", option.name, facts.join("; "), wrapped(&option.description))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// Words in lines of about 100 characters, six to the right.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last > 0 && last + 1 + word.chars().count() > 100 {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            *line += if line.is_empty() { "      " } else { " " };
            *line += word;
        }
    }
    lines.join("\n")
}
