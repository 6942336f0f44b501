//! Does the JSON Schema say what the planner says? Shipped files and examples fit it, what is wrong in shape does not, and the
//! copy that editors take from `docs/schema.json` is the one that `affectflow schema` prints.
//!
//! `AFFECTFLOW_BLESS=1 cargo test --workspace --test schema` writes the copy anew.

mod common;

use std::collections::BTreeSet;
use std::fs;

use affectflow::pipeline::plan::schema::json_schema;
use affectflow::pipeline::{Registry, spec};
use common::{SMALL, repository};
use jsonschema::Validator;
use serde_json::Value;

/// Broken files that an editor cannot tell from good ones: what is wrong depends on other values, other files, the command
/// line or the machine.
const BEYOND: &[&str] = &[
    "change-of-no-stage",
    "column-of-a-stage-behind",
    "column-of-a-stage-left-out",
    "column-that-nobody-adds",
    "command-gives-a-stage-a-wrong-field",
    "command-gives-a-wrong-condition",
    "command-is-no-yaml",
    "command-names-no-stage",
    "command-names-no-variable",
    "default-of-no-pipeline",
    "environment-not-set",
    "extends-in-a-round",
    "extends-itself",
    "extends-nothing",
    "filter-by-another-type",
    "folder-that-is-not-there",
    "include-in-a-round",
    "include-itself",
    "include-of-a-broken-file",
    "include-of-a-file-with-problems",
    "include-that-is-not-there",
    "input-that-is-not-there",
    "list-names-no-column",
    "loop",
    "loop-of-one",
    "matrix-excludes-all",
    "matrix-excludes-nothing",
    "matrix-into-one-file",
    "matrix-of-no-variable",
    "matrix-one-of-many",
    "matrix-that-is-huge",
    "matrix-with-one-bad-value",
    "nothing-before",
    "pipeline-from-two-files",
    "query-of-no-column",
    "query-of-no-table",
    "query-of-pictures",
    "query-that-drops",
    "query-with-a-name-twice",
    "reference-left-open",
    "reference-to-nothing",
    "retries-of-a-source",
    "scoring-labels-elsewhere",
    "several-meanings-at-once",
    "test-bound-of-text",
    "test-bounds-apart",
    "test-class-unknown",
    "test-column-that-does-not-leave",
    "test-command-names-no-test",
    "test-command-without-tests",
    "test-gives-too-few-columns",
    "test-ids-twice",
    "test-number-too-large",
    "test-of-a-file-not-there",
    "test-of-no-pipeline",
    "test-of-no-stage",
    "test-rows-for-a-source",
    "test-rows-for-ports",
    "test-rows-of-no-stage",
    "test-rows-that-do-not-reach",
    "test-sets-a-wrong-value",
    "test-sets-no-variable",
    "test-type-not-told",
    "test-type-without-column",
    "test-value-of-another-type",
    "test-where-of-nothing",
    "test-without-rows",
    "tests-alone-to-run",
    "until-a-stage-left-out",
    "use-in-a-round",
    "use-of-another-kind",
    "use-of-nothing",
    "variable-below",
    "variable-from-two-files",
    "variable-unknown",
    "when-leaves-no-input",
    "when-of-a-text",
    "when-of-no-truth",
    "when-of-no-variable",
    "which-pipeline",
    "wrong-value-from-a-variable",
    "wrong-value-from-the-command",
];

fn registry() -> Registry {
    let mut registry = Registry::new();
    affectflow::stages::register(&mut registry);
    registry
}

fn validator() -> Validator {
    jsonschema::validator_for(&json_schema(&registry())).unwrap()
}

fn tree(text: &str) -> Option<Value> {
    spec::tree(text, "f.yaml").ok().map(|node| node.to_json())
}

#[track_caller]
fn fits(schema: &Validator, text: &str) {
    let value = tree(text).unwrap();
    let wrong: Vec<String> =
        schema.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{text}\n{}", wrong.join("\n"));
}

#[test]
fn the_copy_for_editors_is_the_one_that_is_printed() {
    let path = repository("docs/schema.json");
    let printed = format!("{:#}\n", json_schema(&registry()));
    if std::env::var_os("AFFECTFLOW_BLESS").is_some() {
        fs::write(path, printed).unwrap();
        return;
    }
    assert!(
        fs::read_to_string(path).unwrap() == printed,
        "`docs/schema.json` is not what `affectflow schema` prints"
    );
}

#[test]
fn the_schema_is_one() {
    jsonschema::meta::validate(&json_schema(&registry())).unwrap();
}

#[test]
fn shipped_files_fit_and_tell_editors_where_it_is() {
    let text = fs::read_to_string(repository("pipelines.yaml")).unwrap();
    fits(&validator(), &text);
    assert_eq!(text.lines().next(), Some("# yaml-language-server: $schema=docs/schema.json"));
}

#[test]
fn examples_fit() {
    let schema = validator();
    fits(&schema, SMALL);
    for page in ["README.md", "plugins/README.md"] {
        let text = fs::read_to_string(repository(page)).unwrap();
        let blocks = text.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next());
        blocks.filter(|block| block.starts_with("version:")).for_each(|block| fits(&schema, block));
    }
    fits(&schema, &fs::read_to_string(repository("examples/tests.yaml")).unwrap());
    for kind in registry().kinds() {
        let example = kind.about().example.trim_end().replace('\n', "\n      ");
        fits(&schema, &format!("version: 1\npipelines:\n  p:\n    stages:\n      {example}\n"));
    }
}

#[test]
fn everything_that_is_taken_over_fits() {
    fits(
        &validator(),
        "
version: 1
include: [common.yaml]
vars: { seed: 0, fast: true }
cache: { max_size: 5GB }
templates:
  caption: { kind: embed, config: { num_beams: 2 } }
  few: { kind: filter, retries: '${vars.seed}' }
pipelines:
  base:
    matrix: { seed: [0, 1], exclude: [{ seed: 1 }], include: '${vars.more}' }
    stages:
      faces: { kind: ingest, config: { source: twemoji } }
      embed: { use: caption, when: '${vars.fast}' }
      some: { use: few, config: { where: { domain: target } } }
      perceive: { kind: perceive, on_error: '${vars.on_error}' }
  other: { extends: base, matrix: null, stages: { some: null, embed: { config: { num_beams: 1 } } } }
  third: { extends: other, matrix: null, stages: { faces: { use: null } } }
tests:
  a stage: { stage: perceive, set: { vars.seed: 1 }, rows: '${vars.rows}', where: { x: [1, null], y: { not: [a] } }, tolerance: 1e-3 }
  its own: { kind: sample, config: { count: 1 }, rows: { left: [{ id: a, x: [1, { y: null }] }], right: [] }, expect: [{}], columns: [x] }
  options are wrong: { kind: sample, config: { cnt: 1 }, rows: [{}], fails: no option }
  it fails: { kind: ingest, config: { source: folder, path: nowhere }, fails: there is no folder }
  bad rows: { pipeline: base, stage: embed, rows: [{ image: { file: a.png } }], types: { image: binary }, quarantined: { row-0: null } }
",
    );
}

#[test]
fn what_is_wrong_in_shape_is_refused_by_both() {
    let schema = validator();
    let mut beyond = BTreeSet::new();
    for entry in fs::read_dir(repository("tests/broken")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap_or_default();
        if path.extension().is_some_and(|kind| kind == "yaml")
            && tree(&text).is_some_and(|value| schema.is_valid(&value))
        {
            beyond.insert(name);
        }
    }
    assert_eq!(beyond, BEYOND.iter().map(|name| name.to_string()).collect());
}
