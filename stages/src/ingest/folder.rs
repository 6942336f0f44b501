//! Which pictures lie in a folder? `<class>/x.png`, `<split>/<class>/x.png`, or no classes at all.
//!
//! A first folder that is named like a split is one; the next folder is the class; deeper folders only name files.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};

use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::stage::{Failures, Inputs};
use affectflow_pipeline::{Problem, Source, StageError, StageResult};

use super::Pictures;
use super::labels::Meaning;
use super::options::{Domain, IngestOptions, Split};
use super::rows::{BATCH, Common, Emit, Emitter, file_uri};

/// File name extensions of pictures.
const EXTENSIONS: [&str; 5] = ["png", "jpg", "jpeg", "webp", "gif"];

/// A folder to read.
pub(super) struct Folder {
    shown: String,
    root: PathBuf,
    domain: Domain,
    common: Common,
}

impl Folder {
    pub(super) fn plan(options: &IngestOptions, inputs: &Inputs, common: Common) -> Result<Self, Problem> {
        let path = options.path.clone().unwrap_or_default();
        let shown = path.display().to_string();
        let root = std::path::absolute(inputs.path(&path)).unwrap_or(path);
        let domain = options.domain.ok_or_else(missing_domain)?;
        let folder = Folder { shown, root, domain, common };
        folder
            .check()
            .map_err(|problem| if problem.option.is_empty() { problem.option("path") } else { problem })?;
        Ok(folder)
    }

    fn check(&self) -> Result<(), Problem> {
        let shown = &self.shown;
        match std::fs::metadata(&self.root) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Problem::new(format!("no folder `{shown}`"))
                    .hint("paths start at the pipeline file's folder"));
            }
            Err(error) => return Err(Problem::new(format!("cannot read `{shown}`: {}", cause(&error)))),
            Ok(meta) if !meta.is_dir() => {
                let problem = Problem::new(format!("`{shown}` is a file, not a folder"));
                return Err(problem.hint("a CSV file needs `source: manifest`"));
            }
            Ok(_) => {}
        }
        let problem = |error: StageError| Problem::new(error.message().to_owned());
        if !holds_picture(&self.root).map_err(problem)? {
            let problem = Problem::new(format!("no pictures found in `{shown}`"));
            return Err(problem.hint(format!("names of pictures end in .{}", EXTENSIONS.join(", ."))));
        }
        let unknown = self.unknown_folders().map_err(problem)?;
        if unknown.is_empty() {
            return Ok(());
        }
        let (message, hint) = self.common.labels.unknown("folder", &unknown);
        Err(Problem::new(message).option("labels").hint(hint))
    }

    /// Class folders whose names mean nothing, and that hold pictures.
    fn unknown_folders(&self) -> StageResult<BTreeSet<String>> {
        let mut unknown = BTreeSet::new();
        for first in folders(&self.root)? {
            let classes = if split(&first).is_some() { folders(&first)? } else { vec![first] };
            for folder in classes {
                let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
                if self.common.labels.meaning(&name) == Meaning::Unknown && holds_picture(&folder)? {
                    unknown.insert(name);
                }
            }
        }
        Ok(unknown)
    }

    fn send(
        &self,
        cx: &Context,
        found: &[String],
        out: &mut Emitter<'_>,
        failures: &mut Failures,
    ) -> StageResult<()> {
        let paths: Vec<PathBuf> = found.iter().map(|path| self.root.join(path)).collect();
        for ((path, file), digest) in found.iter().zip(&paths).zip(cx.digest_files(&paths)) {
            let id = self.common.id(path);
            let (split, label) = self.place(path)?;
            let Some(mut row) = self.common.row(id.clone(), self.domain, split, label) else { continue };
            match (digest, file_uri(file)) {
                (Ok((digest, _)), Some(uri)) => {
                    (row.digest, row.uri) = (digest, uri);
                    out.push(row)?;
                }
                (Err(error), _) => failures.push(&id, error),
                (_, None) => failures.push(&id, "the folder's path is not UTF-8"),
            }
        }
        Ok(())
    }

    /// What the folders of a relative path say.
    fn place(&self, path: &str) -> StageResult<(Option<Split>, Meaning)> {
        let mut folders = path.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev().peekable();
        let split = folders.peek().and_then(|first| Split::parse(first));
        if split.is_some() {
            folders.next();
        }
        let Some(class) = folders.next() else { return Ok((split, Meaning::Unlabelled)) };
        match self.common.labels.meaning(class) {
            Meaning::Unknown => {
                let (message, hint) = self.common.labels.unknown("folder", &[class.to_owned()].into());
                Err(StageError::new(message).hint(hint))
            }
            label => Ok((split, label)),
        }
    }
}

impl Pictures for Folder {
    fn common(&self) -> &Common {
        &self.common
    }

    fn place(&self) -> Option<PathBuf> {
        Some(self.root.clone())
    }
}

impl Source for Folder {
    fn rows(&self, cx: &Context, emit: Emit<'_>, failures: &mut Failures) -> StageResult<()> {
        let mut out = Emitter::new(&self.common, &[], cx, emit);
        let mut found = Vec::new();
        let mut skipped = 0u64;
        walk(&self.root, "", &mut Vec::new(), &mut |entry| {
            match entry {
                Entry::Picture(path) => found.push(path),
                Entry::Unreadable(name) => {
                    failures.push(&self.common.id(&name), "its name is not UTF-8; rename the file")
                }
                Entry::Other => skipped += 1,
            }
            if found.len() < BATCH {
                return Ok(());
            }
            cx.check()?;
            self.send(cx, &std::mem::take(&mut found), &mut out, failures)
        })?;
        self.send(cx, &found, &mut out, failures)?;
        if skipped > 0 {
            let files = if skipped == 1 { "file that is" } else { "files that are" };
            cx.warn(format!("`{}`: skipped {skipped} {files} not PNG, JPEG, WebP or GIF", self.shown));
        }
        let failed = !failures.is_empty();
        out.finish(
            &self.shown,
            failed,
            "the program reads .png, .jpg, .jpeg, .webp and .gif files in it and its folders",
        )
    }
}

/// The problem of a missing `domain`.
pub(super) fn missing_domain() -> Problem {
    Problem::new("`domain` is missing")
        .hint("`domain: source` for pictures whose labels train, `domain: target` for the others")
}

fn split(folder: &Path) -> Option<Split> {
    Split::parse(folder.file_name()?.to_str()?)
}

enum Entry {
    /// Path from the root, with `/`.
    Picture(String),
    /// The same, as far as it is text.
    Unreadable(String),
    Other,
}

/// Visits the files below a folder in order of name; `above` are the folders on the way, so that links cannot lead in circles.
fn walk(
    folder: &Path,
    path: &str,
    above: &mut Vec<PathBuf>,
    visit: &mut dyn FnMut(Entry) -> StageResult<()>,
) -> StageResult<()> {
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    if above.contains(&real) {
        return Ok(());
    }
    above.push(real);
    for (name, is_folder) in entries(folder)? {
        let shown = name.to_string_lossy();
        let here = if path.is_empty() { shown.to_string() } else { format!("{path}/{shown}") };
        if is_folder && name.to_str().is_some() {
            walk(&folder.join(&name), &here, above, visit)?;
        } else if is_folder || (name.to_str().is_none() && is_picture(&shown)) {
            visit(Entry::Unreadable(here))?;
        } else if is_picture(&shown) {
            visit(Entry::Picture(here))?;
        } else {
            visit(Entry::Other)?;
        }
    }
    above.pop();
    Ok(())
}

/// What is in a folder and is not hidden, in order of name, and whether it is a folder itself.
fn entries(folder: &Path) -> StageResult<Vec<(OsString, bool)>> {
    let mut entries = listed(folder)?.collect::<StageResult<Vec<_>>>()?;
    entries.sort_unstable();
    Ok(entries)
}

/// The same in no order, as it is read.
fn listed(folder: &Path) -> StageResult<impl Iterator<Item = StageResult<(OsString, bool)>>> {
    let error = |error: std::io::Error| {
        StageError::new(format!("cannot list `{}`: {}", folder.display(), cause(&error)))
    };
    let entry = move |entry: std::io::Result<DirEntry>| {
        let entry = entry.map_err(error)?;
        let kind = entry.file_type().map_err(error)?;
        let is_folder = if kind.is_symlink() { entry.path().is_dir() } else { kind.is_dir() };
        // A pipe or a device never ends; a link that leads nowhere stays, so that its row says so.
        let plain =
            is_folder || kind.is_file() || entry.path().metadata().map_or(true, |meta| meta.is_file());
        let shown = plain && !entry.file_name().as_encoded_bytes().starts_with(b".");
        Ok(shown.then(|| (entry.file_name(), is_folder)))
    };
    Ok(std::fs::read_dir(folder).map_err(error)?.filter_map(move |found| entry(found).transpose()))
}

fn folders(folder: &Path) -> StageResult<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in listed(folder)? {
        let (name, is_folder) = entry?;
        folders.extend(is_folder.then(|| folder.join(name)));
    }
    folders.sort_unstable();
    Ok(folders)
}

fn holds_picture(folder: &Path) -> StageResult<bool> {
    let picture = |name: &OsString| name.to_str().is_some_and(is_picture);
    let here = listed(folder)?.find_map(|entry| match entry {
        Ok((name, is_folder)) => (!is_folder && picture(&name)).then_some(Ok(())),
        Err(error) => Some(Err(error)),
    });
    if let Some(found) = here {
        return found.map(|()| true);
    }
    let mut found = false;
    let searched = walk(folder, "", &mut Vec::new(), &mut |entry| match entry {
        Entry::Picture(_) => {
            found = true;
            Err(StageError::interrupted())
        }
        _ => Ok(()),
    });
    if found { Ok(true) } else { searched.map(|()| false) }
}

fn is_picture(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|extension| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

/// An error of the machine in lower case and without its number.
pub(super) fn cause(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    text.chars().take(1).flat_map(char::to_lowercase).chain(text.chars().skip(1)).collect()
}
