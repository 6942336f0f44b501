//! Is a cache that an older program wrote still read, and one of the future refused?
//!
//! `fixtures/` holds a state folder of every version, as it was written by the program of that version. A new one is made
//! by `AFFECTFLOW_TEST_JOB='"cache-v2"' cargo test -p affectflow-pipeline --test formats a_cache_of_version_1`.

mod proof;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use affectflow_pipeline::run::record::Record;
use affectflow_pipeline::run::{Options, State};
use affectflow_pipeline::{Digest, Error};
use proof::damage::{copy, files};
use proof::{Outcome, Project, child, registry};

const STAGES: &str = "
      in:    { kind: folder, config: { path: photos } }
      one:   { kind: mix, quarantine_threshold: 1, config: { from: [value, file], to: one, fails: 5, rows_per_call: 2, pause: 2000 } }
      some:  { kind: pick, config: { by: one, drops: 7 } }
      two:   { kind: mix, config: { from: [one], to: two, vector: true } }
      table: { kind: tally, config: { of: [two], to: rank, gives: weights } }
      last:  { kind: mix, config: { from: [rank, two], to: last } }
      tell:  { kind: tally, config: { of: [last], to: place, needs: weights } }
";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn project(folder: &Path) -> Project {
    let project = Project::at(folder);
    project.pipeline(STAGES);
    let row = |n: usize| (format!("r{n}"), format!("value {n}"), format!("note {n}"));
    project.source("photos", &(0..12).map(row).collect::<Vec<_>>());
    project
}

/// Writes a fixture as this program would.
fn write(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { commit_every: Some(Duration::from_millis(4)), ..Options::default() };
    project(folder.path()).run("state", &options).result.unwrap();
    fs::remove_file(folder.path().join("state/cache/files.memo")).unwrap();
    copy(&folder.path().join("state"), &fixtures().join(name));
}

#[test]
fn a_cache_of_version_1_is_read() {
    if let Some(job) = child::job() {
        return write(job.as_str().unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path());
    let state = project.folder.join("state");
    copy(&fixtures().join("cache-v1"), &state);
    let cold = project.run("cold", &Options::default()).outcome().unwrap();
    assert_eq!(cold.outcome, "quarantined");

    let old = Record::find(&state.join("runs"), "last").unwrap();
    let exported = Outcome::of(&State::open(&state).cache, &old).unwrap();
    for stage in ["one", "some", "two", "table", "last", "tell"] {
        assert_eq!(exported.rows[stage], cold.rows[stage], "{stage}");
    }
    assert_eq!((&exported.artifacts, &exported.quarantine), (&cold.artifacts, &cold.quarantine));

    let ran = project.run("state", &Options::default());
    assert_eq!((&ran.computed, ran.warnings()), (&Vec::new(), Vec::new()));
    assert_eq!(ran.outcome().unwrap().differs(&cold), None);
    let kept = files(&fixtures().join("cache-v1/cache")).into_iter().filter(|file| {
        let now = fs::read(state.join("cache").join(file)).unwrap();
        now == fs::read(fixtures().join("cache-v1/cache").join(file)).unwrap()
    });
    assert_eq!(kept.count(), files(&fixtures().join("cache-v1/cache")).len(), "reading changes no file");
}

/// The line of the file `format`.
fn line(version: u32) -> String {
    let says = format!("affectflow cache {version}");
    format!("{says} {}\n", &Digest::of(says.as_bytes()).to_string()[..12])
}

#[test]
fn a_cache_of_the_future_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path());
    let first = project.run("state", &Options::default());
    let marker = project.folder.join("state/cache/format");
    let written = fs::read_to_string(&marker).unwrap();
    let before = files(&project.folder.join("state"));

    assert_eq!(written, line(1));
    fs::write(&marker, line(99)).unwrap();
    let options = Options { force: ["one".to_owned()].into(), ..Options::default() };
    let refused = project.begin("state", &[], &options, &registry(&project.ledger)).map(drop).unwrap_err();
    // The program exits with 2 for it.
    assert!(matches!(refused, Error::NotFound(_)), "{refused:?}");
    let said = refused.to_string();
    assert!(
        ["format 99", "reads up to", "newer affectflow"].iter().all(|words| said.contains(words)),
        "{said}"
    );
    assert_eq!(files(&project.folder.join("state")), before, "nothing is written");

    // What a flipped bit makes of it names no other format.
    for bit in 0..written.len() * 8 {
        let mut bytes = written.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&marker, bytes).unwrap();
        let checked = State::open(&project.folder.join("state")).cache.check_format();
        assert!(checked.is_ok(), "bit {bit}: {checked:?}");
    }
    // The first caches had no digest there.
    fs::write(&marker, "affectflow cache 1\n").unwrap();
    let ran = project.run("state", &Options::default());
    assert_eq!(
        (ran.warnings(), fs::read_to_string(&marker).unwrap()),
        (vec![], "affectflow cache 1\n".into())
    );
    for text in ["", "something else\n", "affectflow cache 9\n", "affectflow cache 1 000000000000\n"] {
        fs::write(&marker, text).unwrap();
        let ran = project.run("state", &Options::default());
        assert_eq!(ran.computed, Vec::new());
        assert!(ran.warnings().iter().any(|warning| warning.contains("`format`")), "{:?}", ran.warnings());
        assert_eq!(fs::read_to_string(&marker).unwrap(), written);
        assert_eq!(ran.outcome().unwrap().differs(&first.outcome().unwrap()), None);
    }
}
