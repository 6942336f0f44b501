//! What do people see, and with which code does each command end?

mod common;

use common::{Project, SMALL, repository};
use serde_json::Value;

#[test]
fn commands_that_are_not_there_yet_say_so() {
    let project = Project::new(SMALL);
    for command in ["compare", "report", "ui"] {
        let answer = project.run(&[command, "anything", "--at", "all"]);
        answer.expect(2, &[&format!("error: the command `{command}` is not there yet\n  hint: ")]);
    }
    project.run(&["run", "--ui"]).expect(2, &["is not there yet", "hint: "]);
    assert!(!project.path(".affectflow").exists(), "nothing was touched");
}

#[test]
fn the_last_run_is_the_one_that_began_last() {
    let stages = "{ stages: { faces: { kind: ingest, config: { source: synthetic, count: 2 } } } }";
    let project = Project::new(&format!("version: 1\npipelines:\n  b: {stages}\n  a: {stages}\n"));
    for pipeline in ["b", "a", "b", "a", "b", "a"] {
        project.run(&["run", pipeline, "-q"]).expect(0, &[]);
        let shown = project.run(&["show", "last"]).expect(0, &[]).stdout;
        assert!(shown.contains(&format!("pipeline  {pipeline}\n")), "{shown}");
    }
}

#[test]
fn help_is_data_and_wrong_arguments_are_not() {
    let project = Project::new(SMALL);
    let help = project.run(&["--help"]).expect(0, &[]).stdout;
    for word in [
        "run",
        "plan",
        "why",
        "validate",
        "stages",
        "schema",
        "export",
        "runs",
        "show",
        "cache",
        "Exit codes",
    ] {
        assert!(help.contains(word), "no {word} in\n{help}");
    }
    project.run(&["rum"]).expect(2, &["unrecognized subcommand 'rum'", "similar subcommand"]);
    project.run(&["run", "--device", "tpu"]).expect(2, &["a device is `cpu`, `cuda`, `cuda:N` or `metal`"]);
    project.run(&["run", "--jobs", "0"]).expect(2, &["--jobs"]);
}

#[test]
fn every_kind_has_a_page_and_an_example_that_plans() {
    let project = Project::new(SMALL);
    let list = project.run(&["stages"]).expect(0, &[]).stdout;
    for kind in ["ingest", "sample", "filter", "embed", "perceive", "label", "adapt", "evaluate"] {
        assert!(list.contains(kind), "{list}");
        let page = project.run(&["stages", kind]).expect(0, &[]).stdout;
        for part in ["Example", "Options", &format!("{kind}: ")] {
            assert!(page.contains(part), "no {part} in\n{page}");
        }
    }
    project.run(&["stages", "embde"]).expect(2, &["there is no kind `embde`", "the kinds are adapt, embed"]);
}

#[test]
fn the_schema_is_json_and_knows_the_kinds() {
    let text = Project::new(SMALL).run(&["schema"]).expect(0, &[]).stdout;
    let schema: Value = serde_json::from_str(&text).unwrap();
    assert!(schema["$schema"].is_string());
    for name in ["perceive", "knowledge_tokens", "min_confidence"] {
        assert!(text.contains(name), "no {name}");
    }
}

#[test]
fn validate_reports_everything_at_once() {
    let file = repository("pipelines.yaml");
    let file = file.to_str().unwrap();
    Project::new(SMALL).run(&["validate", "-f", file]).expect(0, &["is valid"]);
    let broken = SMALL.replace("kind: perceive", "kind: percieve").replace("num_beams: 1", "num_beems: 1");
    let answer = Project::new(&broken).run(&["validate"]).expect(
        2,
        &[
            "pipelines.yaml:8:74: ",
            "`num_beems`",
            "`num_beams`",
            "pipelines.yaml:9:26: ",
            "`percieve`",
            "`perceive`",
            "2 problems",
        ],
    );
    assert_eq!(answer.stdout, "");
}

#[test]
fn what_is_kept_can_be_looked_at() {
    let project = Project::warm();
    let id = project.record()["id"].as_str().unwrap().to_owned();
    assert!(project.run(&["runs"]).expect(0, &[]).stdout.contains(&id));
    for run in ["last", &id] {
        let shown = project.run(&["show", run]).expect(0, &[]).stdout;
        for part in ["outcome   done", "perceive", "accuracy", "macro-F1", "pseudo-labels"] {
            assert!(shown.contains(part), "no {part} in\n{shown}");
        }
    }
    let json: Value = serde_json::from_str(&project.run(&["show", "--json"]).expect(0, &[]).stdout).unwrap();
    assert!(json["metrics"]["evaluate"]["accuracy"].is_number());
    let stats = project.run(&["cache", "stats"]).expect(0, &[]).stdout;
    for part in ["perceive", "small", "last used", "to recompute"] {
        assert!(stats.contains(part), "no {part} in\n{stats}");
    }
}

#[test]
fn what_is_not_there_is_said_plainly() {
    let empty = Project::new(SMALL);
    for args in [&["runs"][..], &["show"], &["cache", "stats"], &["export", "last", "adapt", "-o", "x.csv"]] {
        empty.run(args).expect(2, &["there is no state folder `.affectflow` yet", "affectflow run"]);
    }
    let project = Project::warm();
    project.run(&["show", "yesterday"]).expect(2, &["no run `yesterday`; the newest is `"]);
    project.run(&["export", "last", "adopt", "-o", "x.csv"]).expect(2, &["has no stage `adopt`; it has "]);
    project
        .run(&["export", "last", "adapt", "-o", "x.xls"])
        .expect(2, &["`.parquet`, `.arrow`, `.csv` or `.jsonl`"]);
    project.run(&["export", "last", "adapt", "-o", "no/x.csv"]).expect(1, &["cannot write `no/x.csv`"]);
    assert!(!project.path("x.csv").exists());
    project.run(&["run", "largest"]).expect(2, &["`largest`", "`small`"]);
    project.run(&["run", "--force", "adopt"]).expect(2, &["`--force adopt`", "its stages are portraits, "]);
    project.run(&["run", "--until", "adopt"]).expect(2, &["adopt"]);
    project.run(&["run", "-f", "missing.yaml"]).expect(2, &["missing.yaml"]);
}

#[test]
fn why_names_what_changed_and_plan_says_it_in_a_line() {
    let project = Project::warm();
    let change = ["--set", "stages.adapt.config.epochs=1"];
    let why = project.run(&[&["why", "adapt"], &change[..]].concat()).expect(0, &[]).stdout;
    for part in ["stage     small/adapt, kind `adapt`", "to compute, from 72 rows", "changed   1 field"] {
        assert!(why.contains(part), "no {part:?} in\n{why}");
    }
    let line = why.lines().find(|line| line.trim_start().starts_with("`options.epochs`")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["`options.epochs`", "2", "1"]);
    assert!(!why.contains("unknown"), "the stage ran before, so its cost is known\n{why}");
    let plan = project.run(&[&["plan"], &change[..]].concat()).expect(0, &[]).stdout;
    for part in ["`options.epochs` 2 -> 1", "every row is cached", "\nto compute: "] {
        assert!(plan.contains(part), "no {part:?} in\n{plan}");
    }
    assert!(project.run(&["plan"]).expect(0, &[]).stdout.ends_with("\nnothing to compute\n"));
    let hit = project.run(&["why", "small/perceive"]).expect(0, &[]).stdout;
    for part in ["72 of 72 rows cached", "nothing: options, columns, files and artifacts are the same"] {
        assert!(hit.contains(part), "no {part:?} in\n{hit}");
    }
}

#[test]
fn why_explains_a_row_and_says_what_does_not_exist() {
    let project = Project::warm();
    let csv = project.csv("embed");
    let id = csv.lines().nth(1).unwrap().split(',').next().unwrap();
    let row = project.run(&["why", "embed", "--row", id]).expect(0, &[]).stdout;
    assert!(row.contains(&format!("row `{id}` is cached: stored at 20")), "{row}");
    let json = project.run(&["why", "embed", "--row", id, "--json"]).expect(0, &[]).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["row"]["state"], &json["forecast"]["compute"]), (&"cached".into(), &0.into()));
    let missing = format!("{id}x");
    project.run(&["why", "embed", "--row", &missing]).expect(2, &["the nearest are", &format!("`{id}`")]);
    project.run(&["why", "embde"]).expect(2, &["pipeline `small` has no stage `embde`", "`embed`"]);
    project.run(&["why", "smal/embed"]).expect(2, &["no pipeline `smal`", "`small`"]);
    project.run(&["why"]).expect(2, &["[PIPELINE/]STAGE"]);
}

#[test]
fn a_record_that_is_damaged_is_listed_with_its_path() {
    let project = Project::warm();
    let id = project.record()["id"].as_str().unwrap().to_owned();
    project.write(&format!(".affectflow/runs/{id}/run.json"), "{");
    let path = format!(".affectflow/runs/{id}/run.json");
    let listed = project.run(&["runs"]).expect(0, &[&path]).stdout;
    assert!(listed.contains(&id) && listed.contains("unreadable"), "{listed}");
    let json: Value = serde_json::from_str(&project.run(&["runs", "--json"]).expect(0, &[]).stdout).unwrap();
    assert_eq!((&json["outcome"], &json["path"]), (&"unreadable".into(), &path.as_str().into()));
    project.run(&["show", &id]).expect(2, &[&path]);
}
