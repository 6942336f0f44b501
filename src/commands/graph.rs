//! `graph`: the stages of a pipeline, their edges, and what is cached, as a picture; nothing is computed or written.

use std::io::Write;
use std::path::PathBuf;

use affectflow_pipeline::run::predict::predict;
use affectflow_pipeline::{Error, Registry};

use super::run::Choice;
use super::tell_damage;
use crate::exit::{Exit, Outcome};
use crate::project::Project;
use crate::view::combinations::combination;
use crate::view::graph::{Graph, dot, mermaid, svg};

/// Arguments of `graph`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    #[command(flatten)]
    choice: Choice,
    /// `svg` is a picture that stands alone, `mermaid` goes into README files, `dot` to Graphviz
    #[arg(long, value_enum, default_value_t = Format::Mermaid)]
    format: Format,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

const AFTER: &str = "\
Examples:
  affectflow graph --format svg -o graph.svg         a picture that stands alone, columns on hover
  affectflow graph >> README.md                      Mermaid, for a block of a README
  affectflow graph --format dot | dot -Tpdf -o graph.pdf";

/// What is written.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    Mermaid,
    Dot,
    Svg,
}

/// Looks everything up and draws it.
pub fn run(args: Args, project: &Project, registry: &Registry) -> Outcome {
    let plans = args.choice.plans(project, registry)?;
    let Some(plan) = plans.first() else {
        return Err(Error::Internal("a pipeline without a plan".into()).into());
    };
    if plans.len() > 1 {
        eprintln!("note: drawn is the first of {} combinations, {}", plans.len(), combination(plan));
    }
    let (forecasts, damage) = predict(plan, registry, &project.state(), &args.choice.options())?;
    tell_damage(&damage);
    let graph = Graph::new(plan, &forecasts);
    let text = match args.format {
        Format::Mermaid => mermaid(&graph),
        Format::Dot => dot(&graph),
        Format::Svg => svg(&graph),
    };
    match args.output {
        Some(path) => std::fs::write(&path, text).map_err(|source| Error::Io {
            action: "write",
            path: path.clone(),
            source,
        })?,
        None => std::io::stdout().write_all(text.as_bytes())?,
    }
    Ok(Exit::Done)
}
