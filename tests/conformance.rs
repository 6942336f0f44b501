//! Do our own stages keep the contract that plugins are held to? The same kit on both.

use std::time::Duration;

use affectflow::pipeline::Registry;
use affectflow::pipeline::registry::Kind;
use affectflow::pipeline::stage::{Inputs, schema_of};
use affectflow::stages::ingest::{Domain, generated};
use affectflow_plugin::types;
use affectflow_plugins::check::{Trial, check};
use arrow::datatypes::FieldRef;
use serde_json::{Value, json};

fn registry() -> Registry {
    let mut registry = Registry::new();
    affectflow::stages::register(&mut registry);
    registry
}

fn keeps_the_contract(kind: &dyn Kind, options: Value, arriving: Vec<FieldRef>) {
    let pictures = generated(Domain::Source, 3, 1);
    let picture = |number: u64| pictures[number as usize % pictures.len()].2.clone();
    let patience = Duration::from_secs(1);
    let trial = Trial { kind, options, arriving, picture: &picture, many: 20, patience };
    let mut wrong = Vec::new();
    let mut count = 0;
    check(&trial, &mut |finding| {
        count += 1;
        wrong.extend(finding.seen.err().map(|seen| format!("{}: {seen}", finding.what)));
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(count, 12);
}

#[test]
fn embed_keeps_the_contract() {
    let registry = registry();
    let image = types::field("image", "binary").unwrap();
    keeps_the_contract(registry.get("embed").unwrap().as_ref(), json!({ "num_beams": 1 }), vec![image]);
}

#[test]
fn perceive_keeps_the_contract() {
    let registry = registry();
    let image = types::field("image", "binary").unwrap();
    let id = types::field("id", "utf8").unwrap();
    let inputs = Inputs {
        stage: "embed".into(),
        schema: schema_of(&[id, image.clone()]),
        from: vec!["pictures".into()],
        ports: Vec::new(),
        artifacts: Vec::new(),
        base: ".".into(),
    };
    let (embedded, _) = registry.get("embed").unwrap().plan(&json!({}), &inputs).unwrap();
    let arriving = std::iter::once(image).chain(embedded.adds).collect();
    keeps_the_contract(registry.get("perceive").unwrap().as_ref(), json!({}), arriving);
}
