//! What is there to damage? A cache of all sorts of files, what each of them holds, and what a run of it must give.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use affectflow_pipeline::run::Options;
use affectflow_pipeline::run::record::Record;
use arrow::array::AsArray;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::damage::{copy, files, folder};
use super::{Computed, Outcome, Project};

const STAGES: &str = "
      in:    { kind: folder, config: { path: photos } }
      one:   { kind: mix, quarantine_threshold: 1, config: { from: [value, file], to: one, length: 120, fails: 9, rows_per_call: 5, pause: 1500 } }
      some:  { kind: pick, config: { by: one, drops: 7 } }
      two:   { kind: mix, config: { from: [one], to: two, vector: true, rows_per_call: 8 } }
      table: { kind: tally, config: { of: [two], to: rank, gives: weights } }
      three: { kind: mix, config: { from: [one, rank], to: three } }
      tell:  { kind: tally, config: { of: [three], to: place, needs: weights } }
      read:  { kind: mix, config: { from: [file, one, two, rank, three, place], to: all, salt: SALT } }
";

/// A cache to damage, and what its files hold.
pub struct Whole {
    /// Where it lies, with its source.
    pub folder: tempfile::TempDir,
    /// Outcomes by salt.
    pub outcomes: BTreeMap<&'static str, Outcome>,
    /// For each file the computations that its loss costs.
    pub costs: BTreeMap<PathBuf, BTreeSet<(String, String)>>,
    /// The files of the cache, relative to it.
    pub files: Vec<PathBuf>,
    /// What belongs to the last stage alone: a run with another salt does not look at it.
    pub last: Vec<String>,
    /// Lists that only tell what a table was computed from: no run reads them, `why` and `cache verify` do.
    pub explaining: Vec<PathBuf>,
}

fn project(folder: &Path, salt: &str) -> Project {
    let project = Project::at(folder);
    project.pipeline(&STAGES.replace("SALT", salt));
    project
}

impl Whole {
    /// Runs the pipeline, with segments of few rows.
    pub fn new() -> Self {
        let folder = folder();
        let first = project(folder.path(), "first");
        let row = |n: usize| (format!("r{n:02}"), format!("value {n}"), String::new());
        first.source("photos", &(0..20).map(row).collect::<Vec<_>>());
        let options = Options { commit_every: Some(Duration::from_millis(4)), ..Options::default() };
        let ran = first.run("state", &options);
        let whole = ran.outcome().unwrap();
        assert_eq!(whole.outcome, "quarantined");
        let cache = folder.path().join("state/cache");
        // What becomes of the marker of the format is proved in `formats.rs`.
        let files: Vec<PathBuf> =
            files(&cache).into_iter().filter(|file| !file.ends_with("format")).collect();
        let costs = files.iter().map(|file| (file.clone(), cost(&cache, file, &ran.record, &ran.computed)));
        let costs = costs.collect();
        let second = project(folder.path(), "second").run("other", &Options::default()).outcome().unwrap();
        let outcomes = [("first", whole), ("second", second)].into();
        let said = &ran.record.stages["read"];
        let lists = said["lists"].as_array().unwrap();
        let last = lists
            .iter()
            .chain([&said["entries"], &said["key"]])
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        let explaining = files
            .iter()
            .filter(|file| file.starts_with("v1/tables"))
            .flat_map(|file| {
                let record: serde_json::Value =
                    serde_json::from_slice(&fs::read(cache.join(file)).unwrap()).unwrap();
                let lists = record["inputs"].as_array().cloned().unwrap();
                lists.into_iter().map(|list| format!("v1/lists/{}.parquet", list.as_str().unwrap()).into())
            })
            .collect();
        Whole { folder, outcomes, costs, files, last, explaining }
    }

    /// The project with its cache, in a folder of its own.
    pub fn copy(&self) -> tempfile::TempDir {
        let folder = folder();
        copy(&self.folder.path().join("state"), &folder.path().join("state"));
        folder
    }

    /// The project in such a folder, with that salt in its last stage.
    pub fn project(&self, folder: &Path, salt: &str) -> Project {
        let project = project(folder, salt);
        let sources = self.folder.path().join("photos");
        project.pipeline(&STAGES.replace("SALT", salt).replace("photos", sources.to_str().unwrap()));
        project
    }
}

/// The computations (stage and row) that the loss of a file costs at most.
fn cost(cache: &Path, file: &Path, record: &Record, computed: &[Computed]) -> BTreeSet<(String, String)> {
    let path = file.to_str().unwrap();
    let name = file.file_stem().unwrap().to_str().unwrap();
    let of_stage = |stage: &str, wanted: &dyn Fn(&Computed) -> bool| {
        let own = computed.iter().filter(|one| one.stage == stage && wanted(one));
        own.map(|one| (one.stage.clone(), one.id.clone())).collect::<BTreeSet<_>>()
    };
    let ids: BTreeSet<String> = match file.extension().and_then(|end| end.to_str()) {
        Some("parquet" | "keys") => ids(&cache.join(file).with_extension("parquet")),
        _ => BTreeSet::new(),
    };
    let mut found = BTreeSet::new();
    for (stage, said) in &record.stages {
        let entries = said["entries"].as_str().unwrap_or("none");
        let table = said["shape"] == "table";
        let artifact = said["artifacts"].as_array().is_some_and(|all| all.iter().any(|a| a["path"] == path));
        let entry = entries.trim_start_matches("v1/rows/");
        if table && (artifact || path.contains(entry)) {
            found.extend(of_stage(stage, &|_| true));
        } else if path.starts_with(entries) && path.ends_with(".failed") {
            let text = fs::read_to_string(cache.join(file)).unwrap();
            found.extend(of_stage(stage, &|one| text.contains(&format!("{:?}", one.id))));
        } else if path.starts_with(entries) && !name.is_empty() {
            found.extend(of_stage(stage, &|one| ids.contains(&one.id)));
        }
    }
    found
}

fn ids(segment: &Path) -> BTreeSet<String> {
    let bytes = bytes::Bytes::from(fs::read(segment).unwrap());
    let batches = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
    let ids = |batch: arrow::array::RecordBatch| {
        let column = batch.column_by_name("id").unwrap().as_string::<i32>().clone();
        column.iter().map(|id| id.unwrap().to_owned()).collect::<Vec<_>>()
    };
    batches.flat_map(|batch| ids(batch.unwrap())).collect()
}
