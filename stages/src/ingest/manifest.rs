//! Which pictures does a CSV file name? One row a picture: `path`, what else ingest knows, and columns carried along.
//!
//! The file is read twice: once to check every line, once to emit, so that a mistake in the last line emits nothing.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::stage::{Failures, Inputs};
use affectflow_pipeline::{Digest, Problem, Source, StageError, StageResult};
use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord, Trim};

use super::folder::{cause, missing_domain};
use super::labels::Meaning;
use super::options::{Domain, IngestOptions, Split};
use super::rows::{BATCH, Common, Emit, Emitter, Row, file_uri};
use super::{Pictures, TEXT, TOPIC};
use crate::columns::{DATASET, DOMAIN, EVAL_LABEL, GROUP, IMAGE, IMAGE_DIGEST, LABEL, SPLIT, URI};
use crate::conditions::OneOf;

/// Columns that ingest gives itself.
const TAKEN: [&str; 6] = ["id", DATASET, EVAL_LABEL, URI, IMAGE, IMAGE_DIGEST];
/// Columns that ingest understands.
const KNOWN: [&str; 7] = [PATH, LABEL, SPLIT, DOMAIN, GROUP, TOPIC, TEXT];
const PATH: &str = "path";

/// A CSV file to read.
pub(super) struct Manifest {
    shown: String,
    file: PathBuf,
    folder: PathBuf,
    header: Vec<String>,
    extras: Vec<String>,
    conditions: Vec<(usize, OneOf)>,
    common: Common,
}

impl Manifest {
    pub(super) fn plan(options: &IngestOptions, inputs: &Inputs, common: Common) -> Result<Self, Problem> {
        let path = options.path.clone().unwrap_or_default();
        let shown = path.display().to_string();
        let file = std::path::absolute(inputs.path(&path)).unwrap_or(path);
        let header = header(&file, &shown).map_err(|problem| problem.option("path"))?;
        let mut conditions = Vec::new();
        for (name, values) in &options.conditions {
            let at = header.iter().position(|column| column == name).ok_or_else(|| {
                let problem = Problem::new(format!("`{shown}` has no column `{name}`"))
                    .option(&format!("where.{name}"));
                problem.hint(format!("its columns: `{}`", header.join("`, `")))
            })?;
            conditions.push((at, values.clone()));
        }
        if options.domain.is_none() && !header.iter().any(|column| column == DOMAIN) {
            return Err(missing_domain());
        }
        let extras = header.iter().filter(|name| !KNOWN.contains(&name.as_str())).cloned().collect();
        let folder = file.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Manifest { shown, file, folder, header, extras, conditions, common })
    }

    /// Columns carried along.
    pub(super) fn extras(&self) -> &[String] {
        &self.extras
    }

    /// Visits the rows that `where` keeps, with their line numbers.
    fn each(&self, cx: &Context, visit: &mut dyn FnMut(u64, Line<'_>) -> StageResult<()>) -> StageResult<()> {
        let mut reader = reader(&self.file).map_err(|error| StageError::new(self.unreadable(&error)))?;
        let mut record = StringRecord::new();
        let mut rows = 0usize;
        while reader.read_record(&mut record).map_err(|error| self.malformed(&error))? {
            rows += 1;
            if rows.is_multiple_of(BATCH) {
                cx.check()?;
            }
            let line = Line { header: &self.header, record: &record };
            if self.conditions.iter().all(|(at, values)| values.contains(line.at(*at))) {
                visit(record.position().map_or(0, csv::Position::line), line)?;
            }
        }
        Ok(())
    }

    fn check(&self, cx: &Context) -> StageResult<()> {
        let mut unknown = BTreeSet::new();
        let mut ids = HashSet::new();
        self.each(cx, &mut |number, line| {
            let wrong = |what: String| StageError::new(format!("`{}` line {number}: {what}", self.shown));
            let Some(path) = line.get(PATH) else { return Err(wrong("`path` is empty".into())) };
            if let Some(split) = line.get(SPLIT).filter(|split| Split::parse(split).is_none()) {
                return Err(wrong(format!("`{split}` is not a split")).hint("splits: `train`, `val`, `test`, `all`"));
            }
            if self.common.domain.is_none() && line.get(DOMAIN).and_then(Domain::parse).is_none() {
                let domain = line.get(DOMAIN).unwrap_or_default();
                let hint = "`source` or `target`; the option `domain` sets it for all rows, `where: {domain: ...}` chooses rows";
                return Err(wrong(format!("`{domain}` is not a domain")).hint(hint));
            }
            let [a, b, c, d, e, f, g, h, ..] = Digest::of(self.id(path).as_bytes()).0;
            if !ids.insert(u64::from_le_bytes([a, b, c, d, e, f, g, h])) {
                return Err(wrong(format!("`{path}` is listed a second time")).hint("list every picture once"));
            }
            if let Some(label) = line.get(LABEL).filter(|label| self.common.labels.meaning(label) == Meaning::Unknown) {
                unknown.insert(label.to_owned());
            }
            Ok(())
        })?;
        if unknown.is_empty() {
            return Ok(());
        }
        let (message, hint) = self.common.labels.unknown("label", &unknown);
        Err(StageError::new(format!("`{}`: {message}", self.shown)).hint(hint))
    }

    fn id(&self, path: &str) -> String {
        let relative = Path::new(path).strip_prefix(&self.folder).ok().and_then(Path::to_str).unwrap_or(path);
        let relative = relative.strip_prefix("./").unwrap_or(relative).trim_start_matches('/');
        self.common.id(&if cfg!(windows) { relative.replace('\\', "/") } else { relative.to_owned() })
    }

    fn row(&self, line: &Line<'_>) -> Option<(Row, PathBuf)> {
        let path = line.get(PATH)?;
        let domain = self.common.domain.or_else(|| Domain::parse(line.get(DOMAIN)?))?;
        let label = line.get(LABEL).map_or(Meaning::Unlabelled, |label| self.common.labels.meaning(label));
        let mut row =
            self.common.row(self.id(path), domain, line.get(SPLIT).and_then(Split::parse), label)?;
        [row.group, row.topic, row.text] = [GROUP, TOPIC, TEXT].map(|name| line.get(name).map(str::to_owned));
        row.extras = self.extras.iter().map(|name| line.get(name).map(str::to_owned)).collect();
        Some((row, self.folder.join(path)))
    }

    fn send(
        &self,
        cx: &Context,
        found: Vec<(Row, PathBuf)>,
        out: &mut Emitter<'_>,
        failures: &mut Failures,
    ) -> StageResult<()> {
        let (rows, paths): (Vec<Row>, Vec<PathBuf>) = found.into_iter().unzip();
        for ((mut row, path), digest) in rows.into_iter().zip(&paths).zip(cx.digest_files(&paths)) {
            match (digest, file_uri(path)) {
                (Ok((digest, _)), Some(uri)) => {
                    (row.digest, row.uri) = (digest, uri);
                    out.push(row)?;
                }
                (Err(_), _) if !path.exists() => {
                    failures.push(&row.id, format!("no file `{}`", path.display()))
                }
                (Err(error), _) => failures.push(&row.id, error),
                (_, None) => failures.push(&row.id, "the folder's path is not UTF-8"),
            }
        }
        Ok(())
    }

    fn unreadable(&self, error: &csv::Error) -> String {
        unreadable(&self.shown, error)
    }

    fn malformed(&self, error: &csv::Error) -> StageError {
        let shown = &self.shown;
        let line = error.position().map_or(0, csv::Position::line);
        match error.kind() {
            ErrorKind::UnequalLengths { expected_len, len, .. } => {
                let fields = if *len == 1 { "field" } else { "fields" };
                let what = format!("`{shown}` line {line} has {len} {fields}, the header has {expected_len}");
                StageError::new(what).hint("put fields that contain a comma between double quotes")
            }
            ErrorKind::Utf8 { .. } => StageError::new(format!("`{shown}` line {line} is not UTF-8 text"))
                .hint("save the file as UTF-8"),
            _ => StageError::new(self.unreadable(error)),
        }
    }
}

impl Pictures for Manifest {
    fn common(&self) -> &Common {
        &self.common
    }

    fn place(&self) -> Option<PathBuf> {
        Some(self.file.clone())
    }
}

impl Source for Manifest {
    fn rows(&self, cx: &Context, emit: Emit<'_>, failures: &mut Failures) -> StageResult<()> {
        self.check(cx)?;
        let mut out = Emitter::new(&self.common, &self.extras, cx, emit);
        let mut found = Vec::new();
        self.each(cx, &mut |_, line| {
            found.extend(self.row(&line));
            if found.len() < BATCH {
                return Ok(());
            }
            self.send(cx, std::mem::take(&mut found), &mut out, failures)
        })?;
        self.send(cx, found, &mut out, failures)?;
        let hint = if self.conditions.is_empty() {
            "list pictures in its column `path`"
        } else {
            "no row has the values of `where`"
        };
        let failed = !failures.is_empty();
        out.finish(&self.shown, failed, hint)
    }
}

/// One row of the file.
#[derive(Clone, Copy)]
struct Line<'a> {
    header: &'a [String],
    record: &'a StringRecord,
}

impl<'a> Line<'a> {
    /// A cell; `None` where it is empty.
    fn at(&self, column: usize) -> Option<&'a str> {
        self.record.get(column).filter(|cell| !cell.is_empty())
    }

    fn get(&self, column: &str) -> Option<&'a str> {
        self.at(self.header.iter().position(|name| name == column)?)
    }
}

fn reader(file: &Path) -> Result<Reader<File>, csv::Error> {
    let tabs = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv"));
    ReaderBuilder::new().delimiter(if tabs { b'\t' } else { b',' }).trim(Trim::All).from_path(file)
}

fn unreadable(shown: &str, error: &csv::Error) -> String {
    match error.kind() {
        ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::NotFound => format!("no file `{shown}`"),
        ErrorKind::Io(error) => format!("cannot read `{shown}`: {}", cause(error)),
        _ => format!("cannot read `{shown}`: {error}"),
    }
}

/// The names of the columns, checked.
fn header(file: &Path, shown: &str) -> Result<Vec<String>, Problem> {
    if file.is_dir() {
        let problem = Problem::new(format!("`{shown}` is a folder, not a CSV file"));
        return Err(problem.hint("a folder of pictures needs `source: folder`"));
    }
    let mut reader = reader(file).map_err(|error| Problem::new(unreadable(shown, &error)))?;
    let header = reader.headers().map_err(|error| Problem::new(unreadable(shown, &error)))?;
    let header: Vec<String> =
        header.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
    let list = format!("its columns: `{}`", header.join("`, `"));
    if !header.iter().any(|name| name == PATH) {
        return Err(Problem::new(format!("`{shown}` has no column `{PATH}`")).hint(list));
    }
    for (at, name) in header.iter().enumerate() {
        if TAKEN.contains(&name.as_str()) {
            let problem = Problem::new(format!("`{shown}` has a column `{name}`, which ingest gives itself"));
            return Err(problem.hint("rename or remove that column"));
        }
        if name.is_empty() || header[..at].contains(name) {
            return Err(
                Problem::new(format!("`{shown}` has a column `{name}` without a name of its own")).hint(list)
            );
        }
    }
    Ok(header)
}
