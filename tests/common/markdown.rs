//! A page of Markdown as the tests of documentation read it: blocks of code, links, headings.

use std::path::{Path, PathBuf};

/// A fenced block of code.
#[derive(Debug, Clone)]
pub struct Block {
    /// Line of its first fence, from 0.
    pub line: usize,
    pub language: String,
    /// What follows the language: `file=pipelines.yaml`, or a word alone.
    pub attributes: Vec<String>,
    /// Its lines, each with its end.
    pub text: String,
}

impl Block {
    /// The value of `name=value`.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find_map(|one| one.strip_prefix(name)?.strip_prefix('='))
    }
}

/// The blocks of a page in order.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (line, text) in page.lines().enumerate() {
        match (text.strip_prefix("```"), open) {
            (Some(_), true) => open = false,
            (Some(info), false) => {
                let mut words = info.split_whitespace().map(str::to_owned);
                let language = words.next().unwrap_or_default();
                blocks.push(Block { line, language, attributes: words.collect(), text: String::new() });
                open = true;
            }
            (None, true) => blocks.last_mut().unwrap().text += &format!("{text}\n"),
            (None, false) => {}
        }
    }
    blocks
}

/// The page without its blocks of code, each replaced by an empty line.
pub fn prose(page: &str) -> String {
    let mut open = false;
    let keep = |line: &str| {
        let fence = line.starts_with("```");
        let inside = open || fence;
        open ^= fence;
        if inside { "\n".to_owned() } else { format!("{line}\n") }
    };
    page.lines().map(keep).collect()
}

/// What stands between single backticks.
pub fn literals(page: &str) -> Vec<String> {
    let prose = prose(page);
    prose.split("\n\n").flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2)).map(one_line).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Targets of links and pictures.
pub fn links(page: &str) -> Vec<String> {
    let prose = prose(page);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).collect()
}

/// What `#...` of a link may be: the headings, as mdBook and GitHub name them.
pub fn anchors(page: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for line in prose(page).lines().filter(|line| line.starts_with('#')) {
        let name: String = line.trim_start_matches('#').trim().chars().filter_map(anchor).collect();
        let again = names.iter().filter(|known| **known == name).count();
        names.push(if again == 0 { name } else { format!("{name}-{again}") });
    }
    names
}

fn anchor(c: char) -> Option<char> {
    match c {
        c if c.is_alphanumeric() || "_-".contains(c) => Some(c.to_ascii_lowercase()),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    }
}

/// The Markdown files below a folder, sorted.
pub fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(pages(&path));
        } else if path.extension().is_some_and(|end| end == "md") {
            found.push(path);
        }
    }
    found.sort();
    found
}
