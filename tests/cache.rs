//! What do `cache verify` and `cache gc` print, with which codes do they end, and what does a limit in the file look like?

mod common;

use std::fs;
use std::path::PathBuf;

use common::{Project, SMALL};
use serde_json::Value;

/// The segments of a stage of the newest run.
fn segments(project: &Project, stage: &str) -> Vec<PathBuf> {
    let record = project.record();
    let folder = project.path(".affectflow/cache").join(record["stages"][stage]["entries"].as_str().unwrap());
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|end| end == "parquet"));
    found.sort();
    found
}

#[test]
fn verify_finds_a_flipped_bit_and_the_next_run_mends_it() {
    let project = Project::warm();
    let csv = project.csv("adapt");
    let whole = project.run(&["cache", "verify"]).expect(0, &[]).stdout;
    assert!(whole.contains(" files, ") && whole.trim_end().ends_with("/s): whole"), "{whole}");
    let segment = segments(&project, "embed").remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    bytes[100] ^= 4;
    fs::write(&segment, bytes).unwrap();
    let found = project.run(&["cache", "verify"]).expect(4, &[]).stdout;
    let name = segment.file_name().unwrap().to_str().unwrap();
    for part in ["2 files damaged", name, "its content is not what was written", "aside/"] {
        assert!(found.contains(part), "no {part} in\n{found}");
    }
    let json = project.run(&["cache", "verify", "--json"]).expect(0, &[]).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(json["files"].as_u64() > Some(10) && json["bytes"].is_u64() && json["seconds"].is_number());
    assert_eq!(json["damage"], Value::Array(vec![]));
    project.run(&["run", "-q"]).expect(0, &[]);
    assert!(project.number("embed", "misses") > 0);
    assert_eq!((project.number("perceive", "misses"), project.number("adapt", "misses")), (0, 0));
    assert_eq!(project.csv("adapt"), csv);
}

#[test]
fn gc_shows_what_goes_and_what_it_would_cost() {
    let project = Project::warm();
    let kept = project.run(&["cache", "gc"]).expect(0, &[]).stdout;
    assert!(kept.starts_with("nothing to remove, "), "{kept}");
    let dry =
        project.run(&["cache", "gc", "--max-size", "1KB", "--dry-run"]).expect(0, &["asked for"]).stdout;
    for part in ["to recompute", "last used", "perceive", "table ", "lists of rows", "would be removed: "] {
        assert!(dry.contains(part), "no {part} in\n{dry}");
    }
    project.run(&["export", "last", "embed", "-o", "out.csv"]).expect(0, &[]);
    let lines = project.run(&["cache", "gc", "--max-size", "1KB", "--json"]).expect(0, &[]).stdout;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let perceive = lines.iter().find(|line| line["stage"] == "perceive" && line["what"] == "rows").unwrap();
    assert_eq!((&perceive["rows"], &perceive["kind"]), (&72.into(), &"perceive".into()));
    assert!(perceive["seconds"].as_f64() > Some(0.0) && perceive["used"].is_string());
    assert!(lines.last().unwrap()["total"]["bytes"].as_u64() > Some(1000));
    project
        .run(&["export", "last", "embed", "-o", "out.csv"])
        .expect(2, &["removed by `cache gc`", "run `small` again"]);
    for args in [["--older-than", "soon"], ["--max-size", "much"]] {
        project.run(&["cache", "gc", args[0], args[1]]).expect(2, &["write a "]);
    }
}

#[test]
fn a_limit_in_the_file_is_checked_where_it_stands() {
    let limit = |text: &str| SMALL.replace("version: 1", &format!("version: 1\ncache: {text}"));
    for good in ["{ max_size: 50GB }", "{ max_size: 1.5 GiB }", "{ max_size: 1000000 }", "{}", ""] {
        Project::new(&limit(good)).run(&["validate"]).expect(0, &[]);
    }
    for (wrong, text) in [
        ("{ max_size: much }", "pipelines.yaml:3:20: `max_size` must be a size, not "),
        ("{ max_size: -5 }", "pipelines.yaml:3:20: `max_size` must be a size, not "),
        ("{ max_size: 0 }", "`max_size` must be a size"),
        ("{ max_sise: 5GB }", "did you mean `max_size`?"),
        ("50GB", "`cache` must be a map"),
    ] {
        Project::new(&limit(wrong)).run(&["validate"]).expect(2, &[text, "hint: "]);
    }
}

#[test]
fn gc_holds_the_limit_of_the_file_and_says_so() {
    let project = Project::warm();
    project.write("pipelines.yaml", SMALL.replace("version: 1", "version: 1\ncache: { max_size: 1KB }"));
    let limit = "holding 1000 B, the `max_size` of `pipelines.yaml`";
    let dry = project.run(&["cache", "gc", "--dry-run"]).expect(0, &[limit, "asked for"]).stdout;
    assert!(dry.contains("would be removed: ") && dry.contains("perceive"), "{dry}");
    let other = project.run(&["cache", "gc", "--dry-run", "--max-size", "1TB"]).expect(0, &[]);
    assert!(
        !other.stderr.contains("holding") && other.stdout.starts_with("nothing to remove, "),
        "{}",
        other.stdout
    );
    project.write("pipelines.yaml", "version: [");
    project.run(&["cache", "gc"]).expect(0, &["`pipelines.yaml` cannot be read, so no limit"]);
}

#[test]
fn gc_after_a_short_run_keeps_the_whole_one() {
    let project = Project::warm();
    project.run(&["run", "-q", "--until", "embed"]).expect(0, &[]);
    assert_eq!(project.record()["until"], "embed");
    let gone = project.run(&["cache", "gc", "--older-than", "0s"]).expect(0, &[]).stdout;
    assert!(!gone.contains("perceive"), "{gone}");
    project.run(&["run", "-q"]).expect(0, &[]);
    assert_eq!(project.record()["until"], Value::Null);
    assert!(project.computed().iter().all(|(_, rows)| *rows == 0), "{:?}", project.computed());
}

#[test]
fn stats_count_a_row_once_and_gc_takes_the_others_out() {
    let project = Project::warm();
    let up_to = ["--until", "embed", "--force", "embed"];
    project.run(&[&["run", "-q"], &up_to[..]].concat()).expect(0, &[]);
    let stats = || {
        let lines = project.run(&["cache", "stats", "--json"]).expect(0, &[]).stdout;
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let embed = lines.into_iter().find(|line| line["stage"] == "embed").unwrap();
        (embed["rows"].as_u64(), embed["superseded"]["rows"].as_u64())
    };
    assert_eq!(stats(), (Some(72), Some(72)));
    assert!(project.run(&["cache", "stats"]).expect(0, &[]).stdout.contains("72 rows, "));
    assert!(project.run(&["cache", "gc"]).expect(0, &[]).stdout.contains("superseded "));
    assert_eq!(stats(), (Some(72), Some(0)));
}
