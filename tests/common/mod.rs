//! A project in a temporary folder, and the program run in it as a user would.
#![allow(dead_code)] // every test binary uses a part

pub mod markdown;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// KCDP on few pictures and few epochs: seconds instead of minutes.
pub const SMALL: &str = "
version: 1
pipelines:
  small:
    stages:
      portraits: { kind: ingest, config: { source: synthetic, domain: source, count: 48, seed: 5 } }
      stickers:  { kind: ingest, config: { source: synthetic, domain: target, count: 24, seed: 6 } }
      embed:     { kind: embed, inputs: [portraits, stickers], config: { num_beams: 1 } }
      perceive:  { kind: perceive }
      label:     { kind: label, config: { epochs: 2, knowledge_tokens: 16, pyramid: 8 } }
      adapt:     { kind: adapt, config: { epochs: 2 } }
      evaluate:  { kind: evaluate, config: { bootstrap: 50 } }
";

/// What the program answered.
pub struct Answer {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    /// Fails unless the code is that one and standard error holds every text.
    #[track_caller]
    pub fn expect(self, code: i32, texts: &[&str]) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        for text in texts {
            assert!(self.stderr.contains(text), "no {text:?} in\n{}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }
}

/// A folder with a pipeline file.
pub struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    /// With that text as `pipelines.yaml`.
    pub fn new(yaml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("pipelines.yaml"), yaml).unwrap();
        Project { folder }
    }

    /// With [`SMALL`] and its state after one whole run, which is made once for all tests of a binary.
    pub fn warm() -> Self {
        static RUN: OnceLock<Project> = OnceLock::new();
        let first = RUN.get_or_init(|| {
            let project = Project::new(SMALL);
            project.run(&["run", "-q"]).expect(0, &[]);
            project
        });
        let copy = Project::new(SMALL);
        copy_folder(&first.path(".affectflow"), &copy.path(".affectflow"));
        copy
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_affectflow"));
        command
            .current_dir(self.folder.path())
            .args(args)
            .env_remove("AFFECTFLOW_STATE")
            .env("AFFECTFLOW_HOME", self.path("home"))
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Answer {
        let output = self.command(args).output().unwrap();
        Answer {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts `run --json` and gives it back once `enough` says so of an event.
    pub fn start(&self, args: &[&str], mut enough: impl FnMut(&Value) -> bool) -> Child {
        let mut command = self.command(&[&["run", "--json", "-q"], args].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        for line in lines {
            if enough(&serde_json::from_str(&line.unwrap()).unwrap()) {
                break;
            }
        }
        child
    }

    fn newest(&self) -> PathBuf {
        let mut runs: Vec<PathBuf> =
            fs::read_dir(self.path(".affectflow/runs")).unwrap().map(|entry| entry.unwrap().path()).collect();
        runs.sort();
        runs.pop().unwrap()
    }

    /// `run.json` of the newest run.
    pub fn record(&self) -> Value {
        serde_json::from_slice(&fs::read(self.newest().join("run.json")).unwrap()).unwrap()
    }

    /// The events of the newest run.
    pub fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.newest().join("events.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A number that the newest run recorded of a stage.
    pub fn number(&self, stage: &str, what: &str) -> u64 {
        self.record()["stages"][stage][what].as_u64().unwrap_or_else(|| panic!("{stage}.{what}"))
    }

    /// Rows computed by each stage of the newest run, in order.
    pub fn computed(&self) -> Vec<(String, u64)> {
        let record = self.record();
        let stages = record["stages"].as_object().unwrap();
        stages.iter().map(|(name, stage)| (name.clone(), stage["misses"].as_u64().unwrap())).collect()
    }

    /// Rows of a stage as CSV.
    pub fn csv(&self, stage: &str) -> String {
        self.run(&["export", "last", stage, "-o", "out.csv"]).expect(0, &[]);
        fs::read_to_string(self.path("out.csv")).unwrap()
    }
}

/// Whether what is kept is to be written anew instead of compared.
pub fn blessing() -> bool {
    std::env::var_os("AFFECTFLOW_BLESS").is_some()
}

/// A file of this repository.
pub fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
