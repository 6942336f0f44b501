//! Does a run that was stopped or killed go on where it was, to the same bytes?
#![cfg(unix)]

mod common;

use std::fs;
use std::process::{Child, Command};

use common::{Project, SMALL};
use serde_json::Value;

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn progressed(stage: &'static str, rows: u64) -> impl FnMut(&Value) -> bool {
    move |event| {
        event["stage"] == stage && event["type"] == "progress" && event["done"].as_u64() >= Some(rows)
    }
}

#[test]
fn ctrl_c_commits_and_tells_how_to_go_on() {
    let project = Project::new(SMALL);
    let child = project.start(&["--set", "stages.embed.config.rows_per_call=2"], progressed("embed", 10));
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("`affectflow run small` goes on from there"), "{stderr}");
    assert_eq!(project.record()["outcome"], "interrupted");
    let stored = project.number("embed", "misses");
    assert!((10..72).contains(&stored), "{stored} rows stored");
    let embed = &project.record()["stages"]["embed"];
    assert!(embed["seconds"].as_f64() > Some(0.0), "{embed}");
    project.run(&["run", "-q"]).expect(0, &[]);
    assert_eq!(project.number("embed", "hits"), stored);
    assert_eq!(project.csv("adapt"), Project::warm().csv("adapt"));
}

#[test]
fn a_killed_run_goes_on_to_the_same_bytes() {
    let project = Project::new(SMALL);
    let moments: [(&str, u64); 4] = [("embed", 1), ("perceive", 20), ("label", 1), ("adapt", 1)];
    for (stage, rows) in moments {
        let mut child = project.start(&[], progressed(stage, rows));
        signal(&child, "-KILL");
        child.wait().unwrap();
        let plan = project.run(&["plan"]).expect(0, &[]).stdout;
        assert!(plan.contains("was killed") && !plan.contains("added"), "after a kill in {stage}\n{plan}");
    }
    project.run(&["run", "-q"]).expect(0, &[]);
    assert!(project.number("perceive", "hits") > 0, "rows before the kills are still there");
    assert_eq!(project.number("embed", "misses"), 0);
    for stage in ["embed", "perceive", "label", "adapt"] {
        assert_eq!(project.csv(stage), Project::warm().csv(stage), "{stage}");
    }
}

#[test]
fn a_killed_run_shows_what_it_had_committed_and_for_how_long_it_ran() {
    let project = Project::new(SMALL);
    let mut child =
        project.start(&[], |event| event["type"] == "rows_committed" && event["stage"] == "embed");
    signal(&child, "-KILL");
    child.wait().unwrap();
    let lines = project.run(&["runs", "--json"]).expect(0, &[]).stdout;
    let line: Value = serde_json::from_str(&lines).unwrap();
    assert_eq!(line["outcome"], "killed");
    assert!(line["computed"].as_u64() > Some(0) && line["seconds"].as_f64() > Some(0.0), "{line}");
    let shown = project.run(&["show", "--json"]).expect(0, &[]).stdout;
    let stages = &serde_json::from_str::<Value>(&shown).unwrap()["run"]["stages"];
    assert!(stages["embed"]["misses"].as_u64() > Some(0), "{stages}");
    assert_eq!((&stages["adapt"]["kind"], &stages["adapt"]["misses"]), (&"adapt".into(), &Value::Null));
    let shown = project.run(&["show"]).expect(0, &[]).stdout;
    assert!(shown.contains("outcome   killed") && shown.contains("evaluate"), "{shown}");
    project.run(&["export", "last", "adapt", "-o", "x.csv"]).expect(2, &["which did not come to its end"]);
}

/// Checkpoints of the cache, half-written ones not counted.
fn checkpoints(project: &Project) -> usize {
    let files = |folder: fs::DirEntry| fs::read_dir(folder.path()).unwrap().flatten();
    let folders =
        fs::read_dir(project.path(".affectflow/cache/v1/checkpoints")).into_iter().flatten().flatten();
    folders.flat_map(files).filter(|file| !file.file_name().to_string_lossy().starts_with('.')).count()
}

/// The epoch after which the newest run went on.
fn resumed_after(project: &Project) -> Option<u64> {
    let events = project.events();
    events.iter().find_map(|event| event["note"].as_str()?.strip_prefix("resumes after epoch ")?.parse().ok())
}

#[test]
fn a_killed_training_goes_on_from_its_checkpoint() {
    // The first checkpoint comes after seconds; on a fast machine few epochs are over by then.
    for epochs in [60, 240, 960, 3840, 15360] {
        let epochs = format!("stages.adapt.config.epochs={epochs}");
        let args = ["--set", &epochs, "--set", "stages.adapt.config.patience=0"];
        let whole = [&["run", "-q"][..], &args].concat();
        let project = Project::warm();
        let at_work = |event: &Value| event["stage"] == "adapt" && event["type"] == "progress";
        let mut child = project.start(&args, |event| at_work(event) && checkpoints(&project) > 0);
        signal(&child, "-KILL");
        child.wait().unwrap();
        if checkpoints(&project) == 0 {
            continue;
        }
        let plan = project.run(&[&["plan"], &args[..]].concat()).expect(0, &[]).stdout;
        assert!(plan.contains(" was killed; goes on after "), "{plan}");
        project.run(&whole).expect(0, &[]);
        assert!(resumed_after(&project) > Some(0), "it began anew");
        assert_eq!(checkpoints(&project), 0);
        let other = Project::warm();
        other.run(&whole).expect(0, &[]);
        assert_eq!(project.csv("adapt"), other.csv("adapt"));
        let artifacts = |project: &Project| project.record()["stages"]["adapt"]["artifacts"].clone();
        assert_eq!(artifacts(&project), artifacts(&other));
        return;
    }
    panic!("every training was over before its first checkpoint");
}
