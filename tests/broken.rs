//! What does the program say of a broken file? Every `tests/broken/NAME.yaml`, with its exact answer beside it in `NAME.txt`.
//!
//! A file may begin with `# $ COMMAND ARGUMENT...`; otherwise it is asked `validate`. `AFFECTFLOW_BLESS=1 cargo test --workspace
//! --test broken` writes the answers anew, to be read before they are kept.

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Project, repository};

fn folder() -> PathBuf {
    repository("tests/broken")
}

/// The names of the broken files, without `.yaml`.
fn names() -> Vec<String> {
    let entries =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        entries.filter_map(|name| Some(name.strip_suffix(".yaml")?.to_owned())).collect();
    names.sort();
    names
}

fn asked(name: &str) -> Vec<String> {
    let bytes = fs::read(folder().join(format!("{name}.yaml"))).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().next().and_then(|line| line.strip_prefix("# $ ")).unwrap_or("validate");
    line.split(' ').map(str::to_owned).collect()
}

/// Exit code and standard error; nothing may be on standard output, nothing may be left behind.
fn answer(name: &str) -> String {
    let state = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_affectflow"))
        .args(asked(name))
        .args(["-f", &format!("{name}.yaml"), "--state"])
        .arg(state.path().join("state"))
        .current_dir(folder())
        .output()
        .unwrap();
    assert!(output.stdout.is_empty(), "`{name}` prints data");
    assert!(!state.path().join("state").exists(), "`{name}` leaves something behind");
    let stderr = String::from_utf8(output.stderr).unwrap();
    format!("exit code {}\n{stderr}", output.status.code().unwrap_or(-1))
}

#[test]
fn every_broken_file_is_answered_as_it_was() {
    let names = names();
    assert!(names.len() >= 60);
    let mut wrong = String::new();
    for name in names {
        let (said, path) = (answer(&name), folder().join(format!("{name}.txt")));
        if std::env::var_os("AFFECTFLOW_BLESS").is_some() {
            fs::write(path, said).unwrap();
            continue;
        }
        let kept = fs::read_to_string(path).unwrap_or_default();
        if said != kept {
            write!(wrong, "== {name}\n-- kept\n{kept}-- said\n{said}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_answer_has_code_2_a_place_and_plain_words() {
    for name in names() {
        let kept = fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
        assert!(kept.starts_with("exit code 2\nerror: "), "`{name}`: {kept}");
        for word in ["serde", "untagged", "invalid type", "expected struct", "missing field", "panicked"] {
            assert!(!kept.contains(word), "`{name}` says `{word}`");
        }
        for line in kept.lines().filter_map(|line| line.strip_prefix("error: ")) {
            assert!(line.contains(".yaml") || line.starts_with("--"), "`{name}` names no place: {line}");
        }
    }
}

#[test]
fn every_answer_belongs_to_a_file() {
    let names = names();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "txt") {
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap();
            assert!(names.iter().any(|known| known == name), "{} has no file", path.display());
        }
    }
}

fn checked(yaml: &str, code: i32, texts: &[&str]) -> String {
    Project::new(yaml).run(&["validate"]).expect(code, texts).stderr
}

#[test]
fn ten_megabytes() {
    let comment = format!("# {}\n", "x".repeat(10 << 20));
    let good = "version: 1\npipelines: { p: { stages: { faces: { kind: ingest, config: { source: twemoji } } } } }\n";
    checked(&format!("{comment}{good}"), 0, &["is valid"]);
    let text = format!("version: 1\nvars: {{ a: {} }}\npipelnes: {{}}\n", "x".repeat(10 << 20));
    let said = checked(&text, 2, &["pipelines.yaml:3:1: the file has no field `pipelnes`"]);
    assert!(said.len() < 2000);
    let line =
        format!("version: 1\nvars: {{ a: 1 }}\npipelines: {{ p: {{ sages: {} }} }}\n", "x".repeat(10 << 20));
    assert!(checked(&line, 2, &["did you mean `stages`?"]).len() < 2000, "a long line is cut");
    let list = format!("version: 1\nvars: [{}]\n", "1, ".repeat(3 << 20));
    assert!(checked(&list, 2, &["`vars` must be a map, not a list"]).len() < 2000);
}

#[test]
fn ten_thousand_stages() {
    let stages = |kind: &str| -> String {
        (0..10_000).map(|at| format!("      s{at}: {{ kind: {kind}, config: {{ count: 5 }} }}\n")).collect()
    };
    let text = |kind: &str| {
        format!(
            "version: 1\npipelines:\n  p:\n    stages:\n      faces: {{ kind: ingest, config: {{ source: twemoji }} }}\n{}",
            stages(kind)
        )
    };
    checked(&text("sample"), 0, &["is valid"]);
    checked(&text("smaple"), 2, &["10,000 problems in `pipelines.yaml`"]);
}

#[test]
fn a_folder_is_no_file() {
    let project = Project::new("version: 1\n");
    fs::create_dir(project.path("folder")).unwrap();
    project.run(&["validate", "-f", "folder"]).expect(2, &["cannot read the pipeline file", "hint: "]);
    let missing = Path::new("nowhere").join("p.yaml");
    project
        .run(&["validate", "-f", missing.to_str().unwrap()])
        .expect(2, &["cannot read the pipeline file", "affectflow init DIR"]);
}
