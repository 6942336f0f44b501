//! Does a pipeline with a `matrix:` run once for each combination, over one cache?

mod common;

use std::fs;

use common::Project;
use serde_json::{Value, json};

const YAML: &str = "
version: 1
vars: { seed: 0, beams: 1 }
pipelines:
  p:
    matrix: { beams: [1, 2], seed: [3, 4], exclude: [{ beams: 2, seed: 4 }] }
    stages:
      faces: { kind: ingest, config: { source: synthetic, domain: target, count: 6, seed: 1 } }
      embed: { kind: embed, config: { num_beams: '${vars.beams}' } }
      few: { kind: sample, config: { count: 4, seed: '${vars.seed}' } }
";

fn records(project: &Project) -> Vec<Value> {
    let runs = fs::read_dir(project.path(".affectflow/runs")).unwrap();
    let mut paths: Vec<_> = runs.map(|run| run.unwrap().path().join("run.json")).collect();
    paths.sort();
    paths.iter().map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect()
}

#[test]
fn every_combination_is_a_run_and_shares_what_is_the_same() {
    let project = Project::new(YAML);
    let said = project
        .run(&["run"])
        .expect(0, &["1 of 3: beams: 1, seed: 3", "2 of 3: beams: 1, seed: 4", "3 of 3: beams: 2, seed: 3"]);
    let table: Vec<Vec<&str>> =
        said.stderr.lines().rev().take(3).map(|line| line.split_whitespace().take(2).collect()).collect();
    assert_eq!(table, [["2", "3"], ["1", "4"], ["1", "3"]], "{}", said.stderr);
    let records = records(&project);
    let vars: Vec<&Value> = records.iter().map(|record| &record["pipeline"]["vars"]).collect();
    let pair = |beams, seed| json!({ "seed": seed, "beams": beams });
    assert_eq!(vars, [&pair(1, 3), &pair(1, 4), &pair(2, 3)]);
    let computed = records.iter().map(|record| record["stages"]["embed"]["misses"].as_u64());
    assert_eq!(computed.collect::<Vec<_>>(), [Some(6), Some(0), Some(6)]);
}

#[test]
fn runs_of_a_matrix_have_one_parent_and_gc_keeps_what_each_of_them_needs() {
    let project = Project::new(YAML);
    project.run(&["run", "--quiet"]).expect(0, &[]);
    project.run(&["cache", "gc"]).expect(0, &[]);
    project.run(&["run", "--quiet"]).expect(0, &[]);
    let records = records(&project);
    let parents: Vec<&Value> = records.iter().map(|record| &record["parent"]).collect();
    let (first, again) = (&records[0]["id"], &records[3]["id"]);
    assert_eq!(parents, [&Value::Null, first, first, &Value::Null, again, again]);
    assert!(records[3..].iter().all(|record| record["stages"]["embed"]["misses"] == 0), "{records:?}");
}

#[test]
fn plan_shows_every_combination_and_why_asks_for_one() {
    let project = Project::new(YAML);
    let planned = project.run(&["plan"]).expect(0, &[]).stdout;
    for heading in ["p: beams: 1, seed: 3", "p: beams: 1, seed: 4", "p: beams: 2, seed: 3"] {
        assert!(planned.contains(heading), "{planned}");
    }
    project
        .run(&["why", "embed"])
        .expect(2, &["has a matrix of 3 combinations", "--set vars.beams=1 --set vars.seed=3"]);
    let one = ["why", "embed", "--set", "vars.beams=1", "--set", "vars.seed=3"];
    assert!(project.run(&one).expect(0, &[]).stdout.contains("embed"));
}
