//! Is the book true? Its reference and its pictures are what the program says, its links lead somewhere, its YAML fits the
//! schema, and the commands that it names exist. What its tutorials show is run by `tests/tutorials.rs`.
//!
//! `AFFECTFLOW_BLESS=1 cargo test --workspace --test book` writes reference, pictures and the end of the table of contents anew.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use affectflow::pipeline::plan::schema::json_schema;
use affectflow::pipeline::{Registry, spec};
use affectflow::reference;
use common::markdown::{self, anchors, blocks, links, literals};
use common::{Project, blessing, repository};

/// The last part of the table of contents, which is written from the pages of the reference.
const REFERENCE: &str = "# Reference\n\n";

fn source() -> PathBuf {
    repository("book/src")
}

fn registry() -> Registry {
    let mut registry = Registry::new();
    affectflow::stages::register(&mut registry);
    registry
}

fn reference() -> Vec<reference::Page> {
    reference::pages(&registry())
}

/// Every page of the book by its path from `book/src`, with its text; not the table of contents.
fn pages() -> Vec<(String, String)> {
    let source = source();
    let named = |path: PathBuf| {
        let name = path.strip_prefix(&source).unwrap().to_str().unwrap().replace('\\', "/");
        (name, fs::read_to_string(path).unwrap())
    };
    markdown::pages(&source).into_iter().map(named).filter(|(name, _)| name != "SUMMARY.md").collect()
}

/// Compares a file with what it should be, or writes it.
fn kept(path: &Path, text: &str, wrong: &mut Vec<String>) {
    if blessing() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    } else if fs::read_to_string(path).ok().as_deref() != Some(text) {
        wrong.push(format!("{} is out of date", path.display()));
    }
}

#[track_caller]
fn none(wrong: Vec<String>, mend: &str) {
    assert!(wrong.is_empty(), "{}\n{mend}", wrong.join("\n"));
}

const BLESS: &str =
    "renew it with `AFFECTFLOW_BLESS=1 cargo test --workspace --test book`, and read the difference";

#[test]
fn the_reference_is_what_the_program_says() {
    let (folder, mut wrong) = (source().join("reference"), Vec::new());
    let pages = reference();
    assert!(pages.len() > 25);
    pages.iter().for_each(|page| kept(&folder.join(&page.path), &page.text, &mut wrong));
    for path in markdown::pages(&folder) {
        if pages.iter().any(|page| folder.join(&page.path) == path) {
            continue;
        }
        match blessing() {
            true => fs::remove_file(path).unwrap(),
            false => wrong.push(format!("{} is of something that is gone", path.display())),
        }
    }
    let path = source().join("SUMMARY.md");
    let summary = fs::read_to_string(&path).unwrap();
    let (own, _) = summary.split_once(REFERENCE).expect("`SUMMARY.md` has a part `# Reference`, the last");
    let line = |page: &reference::Page| {
        format!("{}- [{}](reference/{})\n", "  ".repeat(page.depth), page.title, page.path)
    };
    kept(&path, &format!("{own}{REFERENCE}{}", pages.iter().map(line).collect::<String>()), &mut wrong);
    none(wrong, BLESS);
}

#[test]
fn pictures_are_what_the_program_draws() {
    let (mut wrong, mut drawn) = (Vec::new(), 0);
    for (name, text) in pages() {
        for block in blocks(&text) {
            let Some(picture) = block.attribute("draws") else { continue };
            assert!(links(&text).iter().any(|link| link == picture), "{name} does not show `{picture}`");
            let svg = Project::new(&block.text).run(&["graph", "--format", "svg"]).expect(0, &[]).stdout;
            kept(&source().join(&name).with_file_name(picture), &svg, &mut wrong);
            drawn += 1;
        }
    }
    assert!(drawn > 0);
    none(wrong, BLESS);
}

#[test]
fn every_page_is_in_the_table_of_contents_once() {
    let listed = links(&fs::read_to_string(source().join("SUMMARY.md")).unwrap());
    let all: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
    assert_eq!(all.len(), listed.len(), "a page is listed twice");
    let pages = pages();
    assert_eq!(all, pages.iter().map(|(name, _)| name.as_str()).collect());
}

/// `target` seen from a page, if there is such a file and, in it, such a heading.
fn leads_somewhere(page: &Path, text: &str, target: &str) -> bool {
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let path = page.parent().unwrap().join(file);
    match anchor {
        None => path.exists(),
        Some(anchor) if file.is_empty() => anchors(text).iter().any(|known| known == anchor),
        Some(anchor) => {
            fs::read_to_string(path).is_ok_and(|text| anchors(&text).iter().any(|known| known == anchor))
        }
    }
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    let book = pages().into_iter().map(|(name, _)| format!("book/src/{name}"));
    let others = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "docs/method.md"].map(str::to_owned);
    for name in book.chain(others) {
        let path = repository(&name);
        let text = fs::read_to_string(&path).unwrap();
        for target in links(&text).into_iter().filter(|target| !target.contains("://")) {
            seen += 1;
            // What lies outside is not there once the book is built.
            let outside =
                name.starts_with("book/") && target.matches("../").count() > name.matches('/').count() - 2;
            if outside || !leads_somewhere(&path, &text, &target) {
                wrong.push(format!("{name}: `{target}` leads nowhere"));
            }
        }
    }
    assert!(seen > 80, "only {seen} links found, is the reading right?");
    none(
        wrong,
        "a link names a file from the folder of its page, and a heading in small letters with `-` for spaces",
    );
}

/// A part of a file as a whole one: fields of the top, or stages.
fn whole(yaml: &str) -> String {
    let first = yaml.lines().find(|line| !line.starts_with('#')).unwrap_or_default();
    let top = ["include", "vars", "cache", "templates", "pipelines", "default"];
    match first.split(':').next() {
        Some("version") => yaml.to_owned(),
        Some(key) if top.contains(&key) => format!("version: 1\ninclude: x\n{yaml}"),
        _ => {
            let stages: String = yaml.lines().map(|line| format!("      {line}\n")).collect();
            format!("version: 1\npipelines:\n  p:\n    extends: q\n    stages:\n{stages}")
        }
    }
}

#[test]
fn yaml_fits_the_schema() {
    let schema = jsonschema::validator_for(&json_schema(&registry())).unwrap();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (name, text) in pages() {
        for block in blocks(&text)
            .iter()
            .filter(|block| block.language == "yaml" && block.attribute("shows").is_none())
        {
            seen += 1;
            let at = format!("book/src/{name}:{}", block.line + 1);
            match spec::tree(&whole(&block.text), "f.yaml") {
                Err(problems) => wrong.push(format!("{at}: {problems:?}")),
                Ok(tree) => {
                    // Kinds that a plugin brings are none of ours.
                    let brought = |path: &str| block.text.contains("\nplugins:") && path.ends_with("/kind");
                    let tree = tree.to_json();
                    let errors = schema.iter_errors(&tree);
                    let errors = errors.map(|error| (error.instance_path().to_string(), error));
                    let errors = errors.filter(|(path, _)| !brought(path));
                    wrong.extend(errors.map(|(path, error)| format!("{at}: {path}: {error}")));
                }
            }
        }
    }
    assert!(seen > 20);
    none(wrong, "`affectflow schema` prints the schema");
}

/// What the reference says of a command, and of all of them.
fn documented(reference: &[reference::Page], command: &str) -> Option<String> {
    let text = |path: &str| reference.iter().find(|page| page.path == path).map(|page| page.text.clone());
    Some(text(&format!("commands/{command}.md"))? + &text("commands.md")?)
}

/// What is wrong with a line that begins with `affectflow`, if it is a command at all.
fn unknown(reference: &[reference::Page], line: &str) -> Option<String> {
    let words: Vec<&str> =
        line.split_whitespace().skip(1).take_while(|word| !"|;>&#".contains(word)).collect();
    let command = words.first().filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))?;
    let Some(text) = documented(reference, command) else { return Some(format!("no command `{command}`")) };
    let options = words.iter().filter(|word| word.starts_with('-') && word.len() > 1);
    let names = options.map(|word| word.split('=').next().unwrap_or(word));
    let known = |name: &&str| text.contains(&format!("`{name}`")) || text.contains(&format!("`{name} "));
    let known = |name: &&str| known(name) || ["--help", "-h", "--version", "--"].contains(name);
    names.filter(|name| !known(name)).map(|name| format!("no option `{name}` of `{command}`")).next()
}

#[test]
fn commands_and_options_exist() {
    let reference = reference();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    let readme = ("../../README.md".to_owned(), fs::read_to_string(repository("README.md")).unwrap());
    for (name, text) in pages().into_iter().chain([readme]) {
        let typed = blocks(&text).into_iter().flat_map(|block| {
            let lines: Vec<String> = block.text.lines().map(str::to_owned).collect();
            lines.into_iter().map(|line| line.strip_prefix("$ ").unwrap_or(&line).to_owned())
        });
        for line in typed.chain(literals(&text)).filter(|line| line.starts_with("affectflow ")) {
            seen += 1;
            wrong.extend(unknown(&reference, &line).map(|why| format!("{name}: `{line}`: {why}")));
        }
    }
    assert!(seen > 60);
    none(wrong, "`affectflow COMMAND --help` lists the options");
}

#[test]
fn what_does_not_exist_is_found() {
    let reference = reference();
    assert!(unknown(&reference, "affectflow run kcdp --set a=b --until x -q").is_none());
    assert!(unknown(&reference, "affectflow cache gc --dry-run").is_none());
    assert!(
        unknown(&reference, "affectflow rnu").is_some()
            && unknown(&reference, "affectflow run --untl x").is_some()
    );
    assert!(!leads_somewhere(&repository("README.md"), "", "nowhere.md"));
    assert!(leads_somewhere(&repository("README.md"), "# A  `b` c!", "#a--b-c"));
}
