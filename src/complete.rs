//! What can stand where the cursor is? Answers to shells: pipelines and stages of the file, kinds, runs. Nothing is run.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use affectflow_pipeline::Registry;
use affectflow_pipeline::run::record::Record;
use affectflow_pipeline::spec::{Spec, TestSpec, load_lenient};
use clap::{Command, CommandFactory};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use clap_complete::env::CompleteEnv;
use serde_json::Value as Json;

use crate::cli::{Cli, Place};
use crate::project::Project;

/// The variable by which a shell asks; its value is the shell's name.
pub const ASKED_BY: &str = "AFFECTFLOW_COMPLETE";

/// Answers a shell that asks, and ends the program; returns at once where none does.
pub fn answer(registry: &Registry) {
    CompleteEnv::with_factory(|| command(registry)).var(ASKED_BY).complete();
}

/// The command line, with what its names can be.
fn command(registry: &Registry) -> Command {
    let kinds: Vec<(&str, &str)> =
        registry.kinds().map(|kind| (kind.about().kind, kind.about().summary)).collect();
    let kinds = ArgValueCandidates::new(move || {
        kinds
            .iter()
            .map(|(kind, summary)| CompletionCandidate::new(kind).help(Some((*summary).into())))
            .collect()
    });
    let stages = || ArgValueCandidates::new(|| candidates(&Typed::new(), stages));
    let tests = ArgValueCandidates::new(|| {
        let name = |test: &TestSpec| CompletionCandidate::new(&test.name.text);
        candidates(&Typed::new(), |spec, _| spec.tests.iter().map(name).collect())
    });
    let runs = || ArgValueCandidates::new(|| runs(&Typed::new()));
    let schemas: Vec<(&str, Json)> =
        registry.kinds().map(|kind| (kind.about().kind, kind.schema())).collect();
    let schemas = Arc::new(schemas);
    let sets = || {
        let schemas = schemas.clone();
        ArgValueCandidates::new(move || candidates(&Typed::new(), |spec, _| settable(spec, &schemas)))
    };
    let mut command = Cli::command();
    for name in ["run", "plan", "validate", "graph", "test", "why"] {
        command = command.mut_subcommand(name, |command| command.mut_arg("sets", |arg| arg.add(sets())));
    }
    for name in ["run", "plan", "graph"] {
        command = command.mut_subcommand(name, |command| {
            let pipelines = ArgValueCandidates::new(|| candidates(&Typed::new(), |spec, _| pipelines(spec)));
            command
                .mut_arg("pipeline", |arg| arg.add(pipelines))
                .mut_arg("until", |arg| arg.add(stages()))
                .mut_arg("force", |arg| arg.add(stages()))
        });
    }
    let placed = ArgValueCompleter::new(|word: &OsStr| placed(&Typed::new(), word));
    command
        .mut_subcommand("why", |command| command.mut_arg("stage", |arg| arg.add(placed)))
        .mut_subcommand("test", |command| command.mut_arg("names", |arg| arg.add(tests)))
        .mut_subcommand("stages", |command| command.mut_arg("kind", |arg| arg.add(kinds)))
        .mut_subcommand("show", |command| command.mut_arg("run", |arg| arg.add(runs())))
        .mut_subcommand("export", |command| {
            command.mut_arg("run", |arg| arg.add(runs())).mut_arg("stage", |arg| arg.add(stages()))
        })
}

/// What was typed so far.
struct Typed {
    words: Vec<String>,
}

impl Typed {
    /// Shells hand it over behind `--`.
    fn new() -> Self {
        let words = std::env::args_os().skip_while(|word| word != "--").skip(2);
        Typed { words: words.map(|word| word.to_string_lossy().into_owned()).collect() }
    }

    /// The value of an option: `-f x`, `--file x`, `--file=x`.
    fn value(&self, names: &[&str]) -> Option<PathBuf> {
        let joined = |word: &String| {
            let (name, value) = word.split_once('=')?;
            names.contains(&name).then(|| value.into())
        };
        let apart = |pair: &[String]| names.contains(&pair[0].as_str()).then(|| PathBuf::from(&pair[1]));
        self.words.windows(2).find_map(apart).or_else(|| self.words.iter().find_map(joined))
    }

    fn project(&self) -> Project {
        let state =
            self.value(&["--state"]).or_else(|| std::env::var_os("AFFECTFLOW_STATE").map(PathBuf::from));
        Project::new(Place { file: self.file(), state })
    }

    fn file(&self) -> PathBuf {
        self.value(&["-f", "--file"]).unwrap_or_else(|| Path::new("pipelines.yaml").to_owned())
    }
}

/// Names from the file; none where it cannot be read.
fn candidates(
    typed: &Typed,
    names: impl Fn(&Spec, &Typed) -> Vec<CompletionCandidate>,
) -> Vec<CompletionCandidate> {
    load_lenient(&typed.file(), &[]).0.map_or_else(Vec::new, |spec| names(&spec, typed))
}

fn pipelines(spec: &Spec) -> Vec<CompletionCandidate> {
    let about = |text: &Option<String>| text.as_ref().map(|text| text.clone().into());
    let pipelines = spec.pipelines.iter();
    pipelines.map(|one| CompletionCandidate::new(&one.name.text).help(about(&one.description))).collect()
}

/// The stages of the pipeline that was typed, else of all of them, each once.
fn stages(spec: &Spec, typed: &Typed) -> Vec<CompletionCandidate> {
    let named = |name: &str| typed.words.iter().any(|word| word == name);
    let chosen = spec.pipelines.iter().any(|one| named(&one.name.text));
    let mut names: Vec<&str> = Vec::new();
    for pipeline in spec.pipelines.iter().filter(|one| !chosen || named(&one.name.text)) {
        for stage in pipeline.stages().iter().map(|stage| stage.name.text.as_str()) {
            if !names.contains(&stage) {
                names.push(stage);
            }
        }
    }
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// What `--set` can change: variables, and options of stages.
fn settable(spec: &Spec, schemas: &[(&str, Json)]) -> Vec<CompletionCandidate> {
    let mut paths: Vec<String> =
        spec.vars.entries().iter().map(|entry| format!("vars.{}=", entry.key)).collect();
    for stage in spec.pipelines.iter().flat_map(|pipeline| pipeline.stages()) {
        let kind = stage.kind.as_ref().map(|kind| kind.text.as_str());
        let schema = schemas.iter().find(|(known, _)| Some(*known) == kind).map(|(_, schema)| schema);
        let options = schema.and_then(|schema| schema["properties"].as_object()).into_iter().flatten();
        let path = |name: &String| format!("stages.{}.config.{name}=", stage.name.text);
        paths.extend(options.map(|(name, _)| path(name)));
    }
    let mut seen = HashSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    paths.into_iter().map(CompletionCandidate::new).collect()
}

/// `STAGE`, and `PIPELINE/STAGE` once there is a `/`.
fn placed(typed: &Typed, word: &OsStr) -> Vec<CompletionCandidate> {
    let word = word.to_string_lossy();
    let all = match word.split_once('/') {
        None => candidates(typed, stages),
        Some((pipeline, _)) => candidates(typed, |spec, _| {
            let stages = spec.pipeline(pipeline).map_or(&[][..], |found| found.stages());
            let name = |stage: &str| CompletionCandidate::new(format!("{pipeline}/{stage}"));
            stages.iter().map(|stage| name(&stage.name.text)).collect()
        }),
    };
    all.into_iter().filter(|one| one.get_value().to_string_lossy().starts_with(&*word)).collect()
}

/// `last`, then the runs, newest first.
fn runs(typed: &Typed) -> Vec<CompletionCandidate> {
    let records = Record::all(&typed.project().state().runs);
    let ids = records.iter().rev().map(|record| record.id.clone());
    ["last".to_owned()].into_iter().chain(ids).map(CompletionCandidate::new).collect()
}
