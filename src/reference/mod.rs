//! What does the reference say? Markdown pages of every kind, command and field of the file, made of what the program knows
//! about itself: nothing in them is kept by hand.

mod commands;
mod fields;
mod kinds;
mod markdown;

use affectflow_pipeline::Registry;

use self::markdown::Text;
use crate::exit::Exit;

/// A page of the reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its file, from the folder of the reference: `kinds/embed.md`.
    pub path: String,
    /// What a table of contents calls it.
    pub title: String,
    /// How deep it lies in a table of contents, from 0.
    pub depth: usize,
    /// The page as Markdown.
    pub text: String,
}

impl Page {
    fn new(path: impl Into<String>, title: impl Into<String>, depth: usize, text: Text) -> Self {
        Page { path: path.into(), title: title.into(), depth, text: text.finished() }
    }
}

/// Every page, in the order of a table of contents.
pub fn pages(registry: &Registry) -> Vec<Page> {
    let mut pages = kinds::pages(registry);
    pages.extend(commands::pages());
    pages.push(Page::new("file.md", "The file", 0, fields::text(registry)));
    pages.push(Page::new("exit-codes.md", "Exit codes", 0, exit_codes()));
    pages.push(Page::new("environment.md", "Environment variables", 0, commands::environment()));
    pages
}

fn exit_codes() -> Text {
    let mut text = Text::titled("Exit codes");
    text.paragraph(
        "Every command ends with one of these codes, so that a script need not read what is printed.",
    );
    let rows = Exit::ALL.iter().map(|&exit| [format!("`{}`", exit as u8), exit.meaning().to_owned()]);
    text.table(["code", "meaning"], rows);
    text.paragraph("Data goes to standard output, everything else to standard error.");
    text
}
