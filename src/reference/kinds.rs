//! What does the page of a kind say? The same as `stages KIND`, as Markdown.

use affectflow_pipeline::Registry;
use affectflow_pipeline::plan::PlannedStage;
use affectflow_pipeline::plan::manual::{Manual, ManualOption, manual};

use super::Page;
use super::markdown::{Text, escaped};
use crate::commands::stages::{facts, meaning, retrying, shape, trial};

/// The list of kinds, then each of them.
pub fn pages(registry: &Registry) -> Vec<Page> {
    let manuals: Vec<Manual> = registry.kinds().map(|kind| manual(kind.as_ref())).collect();
    let mut pages = vec![Page::new("kinds.md", "Kinds of stage", 0, list(&manuals))];
    pages.extend(manuals.iter().map(|manual| {
        let trial = trial::planned(registry, manual);
        let path = format!("kinds/{}.md", manual.kind);
        Page::new(path, manual.kind, 1, page(manual, trial.as_ref()))
    }));
    pages
}

fn list(manuals: &[Manual]) -> Text {
    let mut text = Text::titled("Kinds of stage");
    text.raw("A stage of a pipeline is of one of these kinds. `affectflow stages KIND` prints the same pages in the terminal, with the\nkinds of your own crate among them.");
    let row = |manual: &Manual| {
        let link = format!("[`{0}`](kinds/{0}.md)", manual.kind);
        [link, shape(manual).to_owned(), escaped(manual.summary)]
    };
    text.table(["kind", "shape", "what it does"], manuals.iter().map(row));
    text.raw("What the four shapes mean is told in [Stages](../concepts/stages.md).");
    text
}

fn page(manual: &Manual, trial: Option<&PlannedStage>) -> Text {
    let mut text = Text::titled(&format!("`{}`", manual.kind));
    text.paragraph(manual.summary);
    text.paragraph(&format!("{} (version {})", meaning(manual), manual.version));
    text.heading(2, "Example");
    text.block("yaml", manual.example);
    if let Some(trial) = trial {
        reads(&mut text, trial);
    }
    if !manual.columns.is_empty() {
        text.heading(2, "Columns it adds");
        let row = |&(name, kind, meaning): &(&str, &str, &str)| {
            [format!("`{name}`"), format!("`{kind}`"), escaped(meaning)]
        };
        text.table(["column", "type", "meaning"], manual.columns.iter().map(row));
    }
    if let Some(trial) = trial {
        artifacts(&mut text, trial);
    }
    text.heading(2, "Options");
    if manual.options.is_empty() {
        text.paragraph("There are none.");
    }
    manual.options.iter().for_each(|one| option(&mut text, one));
    if let Some(retrying) = retrying(manual) {
        text.heading(2, "When it fails");
        text.paragraph(retrying);
    }
    text
}

fn reads(text: &mut Text, trial: &PlannedStage) {
    let read = trial::reads(trial);
    if !read.is_empty() {
        text.heading(2, "Columns it reads");
        text.paragraph("With the options of an example:");
        let row = |(name, kind): (String, String)| [format!("`{name}`"), format!("`{kind}`")];
        text.table(["column", "type"], read.into_iter().map(row));
    }
}

fn artifacts(text: &mut Text, trial: &PlannedStage) {
    let planned = &trial.planned;
    let needed = planned.needs.iter().map(|name| (name, "needed, from a stage before it"));
    let provided = planned.provides.iter().map(|name| (name, "provided"));
    let all: Vec<(&String, &str)> = needed.chain(provided).collect();
    if !all.is_empty() {
        text.heading(2, "Artifacts");
        let row = |(name, role): (&String, &str)| [format!("`{name}`"), role.to_owned()];
        text.table(["artifact", "role"], all.into_iter().map(row));
    }
}

/// Each option has a heading, so that links and the search lead to it.
fn option(text: &mut Text, option: &ManualOption) {
    text.heading(3, &format!("`{}`", option.name));
    text.raw(&format!("*{}*", facts(option).iter().map(|fact| escaped(fact)).collect::<Vec<_>>().join("; ")));
    text.paragraph(&option.description);
    let row = |(value, meaning): &(String, String)| [format!("`{value}`"), escaped(meaning)];
    text.table(["value", "meaning"], option.values.iter().map(row));
}
