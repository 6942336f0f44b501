//! `stages`: the kinds registered; for one, everything that a writer of pipelines wants to know.

pub mod trial;

use std::io::Write;

use affectflow_pipeline::plan::PlannedStage;
use affectflow_pipeline::plan::manual::{Manual, ManualOption, manual};
use affectflow_pipeline::{Registry, Retry};

use crate::exit::{Exit, Failure, Outcome};
use crate::view::table::narrowed;
use crate::view::wrap::{cut, page_width, wrapped};

/// Arguments of `stages`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// The kind to describe; all are listed where left out
    kind: Option<String>,
}

const AFTER: &str = "\
Examples:
  affectflow stages                                  the list
  affectflow stages embed                            options, columns and an example of a kind";

/// Prints the list or the page.
pub fn run(args: Args, registry: &Registry) -> Outcome {
    let mut out = std::io::stdout().lock();
    let Some(kind) = args.kind else {
        let rows: Vec<Vec<String>> = registry
            .kinds()
            .map(|kind| {
                let about = kind.about();
                vec![
                    about.kind.to_owned(),
                    shape(&manual(kind.as_ref())).to_owned(),
                    about.summary.to_owned(),
                ]
            })
            .collect();
        let head = (&["kind", "shape", "what it does"][..], 3);
        let whole = || narrowed(head, &rows, None, 2, cut);
        write!(out, "{}", narrowed(head, &rows, page_width(), 2, cut).or_else(whole).unwrap_or_default())?;
        writeln!(out, "\n`affectflow stages KIND` describes one")?;
        return Ok(Exit::Done);
    };
    let Some(found) = registry.get(&kind) else {
        let known: Vec<&str> = registry.kinds().map(|kind| kind.about().kind).collect();
        let hint = format!("the kinds are {}", known.join(", "));
        return Err(Failure::wrong(format!("there is no kind `{kind}`"), hint));
    };
    let manual = manual(found.as_ref());
    let trial = trial::planned(registry, &manual);
    let page = Page { width: page_width().unwrap_or(WIDEST).min(WIDEST), text: String::new() };
    write!(out, "{}", page.of(&manual, trial.as_ref()))?;
    Ok(Exit::Done)
}

/// The word for how a kind treats rows.
pub fn shape(manual: &Manual) -> &'static str {
    use affectflow_pipeline::Shape::*;
    match manual.shape {
        Source => "source",
        Map => "map",
        Subset => "subset",
        Table => "table",
    }
}

/// How a kind treats rows, in a line.
pub fn meaning(manual: &Manual) -> &'static str {
    use affectflow_pipeline::Shape::*;
    match manual.shape {
        Source => "source: brings rows in",
        Map => "map: each row on its own, cached per row",
        Subset => "subset: chooses rows",
        Table => "table: needs all rows, cached as a whole",
    }
}

/// Longest line of a page.
const WIDEST: usize = 106;

/// A manual page on its way.
struct Page {
    width: usize,
    text: String,
}

impl Page {
    fn of(mut self, manual: &Manual, trial: Option<&PlannedStage>) -> String {
        self.lines(&format!("{}: {}", manual.kind, manual.summary), 0);
        self.text += "\n";
        self.lines(&format!("{} (version {})", meaning(manual), manual.version), 0);
        self.text += "\nExample\n";
        // As it is, so that it can be copied.
        manual.example.lines().for_each(|line| self.text += &format!("  {line}\n"));
        if let Some(trial) = trial {
            self.reads(trial);
        }
        if !manual.columns.is_empty() {
            self.text += "\nColumns it adds\n";
            for (name, kind, meaning) in manual.columns {
                self.lines(&format!("{name}: {kind}"), 2);
                self.lines(meaning, 6);
            }
        }
        if let Some(trial) = trial {
            self.artifacts(trial);
        }
        self.text += if manual.options.is_empty() { "\nOptions: none\n" } else { "\nOptions\n" };
        manual.options.iter().for_each(|option| self.option(option));
        if let Some(retrying) = retrying(manual) {
            self.text += "\n";
            self.lines(retrying, 0);
        }
        self.text
    }

    /// Text so many columns to the right.
    fn lines(&mut self, text: &str, indent: usize) {
        let lines = wrapped(text, self.width - indent);
        lines.iter().for_each(|line| self.text += &format!("{:indent$}{line}\n", ""));
    }

    /// The columns that arrive and are read, with their types; which they are may depend on options.
    fn reads(&mut self, trial: &PlannedStage) {
        let read = trial::reads(trial);
        if !read.is_empty() {
            self.text += "\nColumns it reads, with the options of an example\n";
            read.iter().for_each(|(name, kind)| self.lines(&format!("{name}: {kind}"), 2));
        }
    }

    fn artifacts(&mut self, trial: &PlannedStage) {
        let planned = &trial.planned;
        if planned.needs.is_empty() && planned.provides.is_empty() {
            return;
        }
        self.text += "\nArtifacts\n";
        planned
            .needs
            .iter()
            .for_each(|name| self.lines(&format!("{name}: needed, from a stage before it"), 2));
        planned.provides.iter().for_each(|name| self.lines(&format!("{name}: provided"), 2));
    }

    fn option(&mut self, option: &ManualOption) {
        self.lines(&format!("{}: {}", option.name, facts(option).join("; ")), 2);
        self.lines(&option.description, 6);
        option.values.iter().for_each(|(value, meaning)| self.lines(&format!("{value}: {meaning}"), 6));
    }
}

/// What an option takes, its unit, its default, and whether it changes results.
pub fn facts(option: &ManualOption) -> Vec<String> {
    let mut facts = vec![option.takes.clone()];
    facts.extend(option.unit.as_ref().map(|unit| format!("in {unit}")));
    match (&option.default, option.required) {
        (_, true) => facts.push("required".into()),
        (Some(default), _) if default == "null" => {}
        (Some(default), _) if default.is_empty() => facts.push("default: an empty text".into()),
        (Some(default), _) => facts.push(format!("default `{default}`")),
        (None, _) => {}
    }
    if !option.identity {
        facts.push("changes no result, so nothing is computed again".into());
    }
    facts
}

/// What can be written beside `kind:` and `config:` of a stage that computes.
pub fn retrying(manual: &Manual) -> Option<&'static str> {
    manual.retry.map(|retry| match retry {
        Retry::Safe => {
            "Safe to try again: beside `config`, `retries: 2` and `retry_wait: 1s` try failures again, `time_limit: 30s` limits a try"
        }
        Retry::Unsafe => {
            "Not safe to try again: it takes no `retries`; beside `config`, `time_limit: 30s` limits its only try"
        }
    })
}
