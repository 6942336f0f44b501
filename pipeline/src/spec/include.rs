//! Which files belong to a file? `include:` brings in the variables, templates and pipelines of others.
//!
//! Paths start from the folder of the file that writes them. A file that is named on several ways comes in once. What the
//! including file says of a variable counts; two templates or pipelines of one name are a mistake.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::node::{Entry, Node, Value};
use super::words::suggest;
use super::{World, read, text_of, yaml};
use crate::error::{Note, Problem, Span};

/// The parts of a file that an including one takes.
const PARTS: [&str; 3] = ["vars", "templates", "pipelines"];
/// Most files that a file may bring in, over all.
const MOST: usize = 200;
/// Longest way from a file to one that it brings in.
const LONGEST: usize = 30;

/// Adds to a file what it includes; gives the files read.
pub(super) fn gather(
    root: &mut Node,
    file: &str,
    world: &World<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<PathBuf> {
    if root.get("include").is_none() {
        return Vec::new();
    }
    let mut gather = Gather { world, problems, chain: Vec::new(), known: HashSet::new(), files: Vec::new() };
    gather.chain.push((file.to_owned(), real(Path::new(file))));
    gather.bring_in(root, file);
    gather.files
}

struct Gather<'a> {
    world: &'a World<'a>,
    problems: &'a mut Vec<Problem>,
    /// The files that are being read: as shown, and as they are.
    chain: Vec<(String, PathBuf)>,
    known: HashSet<PathBuf>,
    files: Vec<PathBuf>,
}

impl Gather<'_> {
    /// Puts what a file includes before what it says itself.
    fn bring_in(&mut self, root: &mut Node, file: &str) {
        let mut parts: [Vec<Entry>; 3] = Default::default();
        for (path, span) in self.paths(root) {
            let Some(mut more) = self.file(&path, &span, file) else { continue };
            for (name, into) in PARTS.iter().zip(&mut parts) {
                let own = root.get(name).cloned().unwrap_or_else(|| Node::empty(span.clone()));
                let entries = more.get_mut(name).and_then(Node::entries_mut).map(std::mem::take);
                for entry in entries.unwrap_or_default() {
                    self.add(name, into, entry, &own);
                }
            }
        }
        for (name, mut entries) in PARTS.into_iter().zip(parts) {
            if !entries.is_empty() {
                self.join(name, &mut entries, root);
            }
        }
    }

    /// Adds an entry of an included file to those of the files included before it.
    fn add(&mut self, part: &str, into: &mut Vec<Entry>, entry: Entry, own: &Node) {
        let decided = part == "vars" && own.get(&entry.key).is_some();
        match into.iter().find(|known| known.key == entry.key) {
            Some(_) if decided => {}
            Some(first) => self.problems.push(twice(part, &entry, first)),
            None => into.push(entry),
        }
    }

    /// Puts included entries before the file's own; its own variables take the place of included ones.
    fn join(&mut self, part: &str, entries: &mut Vec<Entry>, root: &mut Node) {
        let span = root.entry("include").map_or(&root.span, |entry| &entry.span).clone();
        let Some(fields) = root.entries_mut() else { return };
        let at = fields.iter().position(|field| field.key == part).unwrap_or_else(|| {
            fields.push(Entry { key: part.to_owned(), span: span.clone(), value: Node::empty(span.clone()) });
            fields.len() - 1
        });
        if matches!(fields[at].value.value, Value::Null) {
            fields[at].value = Node::empty(span);
        }
        let Some(own) = fields[at].value.entries_mut() else { return };
        for entry in std::mem::take(own) {
            match entries.iter_mut().find(|known| known.key == entry.key) {
                Some(known) if part == "vars" => *known = entry,
                Some(known) => self.problems.push(twice(part, &entry, known)),
                None => entries.push(entry),
            }
        }
        *own = std::mem::take(entries);
    }

    /// The files named by `include`.
    fn paths(&mut self, root: &Node) -> Vec<(String, Span)> {
        let Some(node) = root.get("include") else { return Vec::new() };
        let items = match &node.value {
            Value::Null => return Vec::new(),
            Value::Seq(items) => &items[..],
            _ => std::slice::from_ref(node),
        };
        let mut paths = Vec::new();
        for item in items {
            match item.as_str() {
                Some(path) if path.contains("${") => {
                    let problem = item.problem("`include` takes no references");
                    self.problems.push(problem.hint("write the path itself, from this file's folder"));
                }
                Some(path) if !path.is_empty() => paths.push((path.to_owned(), item.span.clone())),
                _ => {
                    let problem =
                        item.problem(format!("`include` must be a path or a list of paths, not {item}"));
                    self.problems.push(problem.hint("write `include: [other.yaml]`"));
                }
            }
        }
        paths
    }

    /// Reads one file with all that it includes; `None` where it is there already or cannot be read.
    fn file(&mut self, path: &str, span: &Span, from: &str) -> Option<Node> {
        let path = Path::new(from).parent().unwrap_or(Path::new("")).join(path);
        let (shown, real) = (path.display().to_string(), real(&path));
        if let Some(at) = self.chain.iter().position(|(_, known)| *known == real) {
            self.problems.push(self.round(at, span));
            return None;
        }
        if !self.known.insert(real.clone()) {
            return None;
        }
        if self.known.len() > MOST || self.chain.len() > LONGEST {
            let problem = Problem::new("too many files are included here").at(span.clone());
            self.problems
                .push(problem.hint(format!("at most {MOST}, and at most {LONGEST} one in the other")));
            return None;
        }
        self.files.push(path.clone());
        let here = Note { span: span.clone(), text: "included here".into() };
        let before = self.problems.len();
        let mut root = match self.read(&path, &shown, span) {
            Ok(root) => root,
            Err(problem) => {
                let own = problem.span.as_ref() == Some(span);
                self.problems.push(if own { problem } else { problem.note(here) });
                return None;
            }
        };
        read::included(&root, self.problems);
        for at in before..self.problems.len() {
            self.problems[at] = self.problems[at].clone().note(here.clone());
        }
        self.chain.push((shown.clone(), real));
        self.bring_in(&mut root, &shown);
        self.chain.pop();
        Some(root)
    }

    fn read(&mut self, path: &Path, shown: &str, span: &Span) -> Result<Node, Problem> {
        let bytes = (self.world.read)(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                Problem::new(format!("there is no file `{shown}`")).at(span.clone()).hint(beside(path))
            }
            _ => Problem::new(format!("cannot read the included file `{shown}`: {error}")).at(span.clone()),
        })?;
        let (root, problems) = yaml::parse(&text_of(bytes, shown)?, shown)?;
        self.problems.extend(problems);
        Ok(root)
    }

    /// "these files include each other: `a.yaml` → `b.yaml` → `a.yaml`"
    fn round(&self, at: usize, span: &Span) -> Problem {
        let files: Vec<String> = self.chain[at..].iter().map(|(shown, _)| format!("`{shown}`")).collect();
        let message = match &files[..] {
            [one] => format!("{one} includes itself"),
            _ => format!("these files include each other: {} → {}", files.join(" → "), files[0]),
        };
        Problem::new(message).at(span.clone()).hint("move what both need into a file that includes neither")
    }
}

fn twice(part: &str, entry: &Entry, first: &Entry) -> Problem {
    let (what, hint) = match part {
        "vars" => ("variable", "say in the including file which value counts"),
        "templates" => ("template", "rename one"),
        _ => ("pipeline", "rename one; `extends` makes a changed copy of a pipeline"),
    };
    let note = Note { span: first.span.clone(), text: "the other one".into() };
    let message = format!("the {what} `{}` comes from two files", entry.key);
    Problem::new(message).at(entry.span.clone()).note(note).hint(hint)
}

/// The file as it is on the disk, however it was named.
fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

/// Which files could have been meant?
fn beside(path: &Path) -> String {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> =
        names.filter(|name| name.ends_with(".yaml") || name.ends_with(".yml")).collect();
    names.sort();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let shown = names.iter().take(30).map(String::as_str).collect::<Vec<_>>();
    format!("paths start from the folder of the file that includes; {}", suggest(name, "files there", shown))
}
