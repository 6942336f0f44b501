//! A pipeline at random, and random edits of it: stages, options, rows, files and how the file is written.

use std::collections::BTreeSet;

use rand::seq::{IndexedMutRandom, IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

/// A pipeline and its data.
#[derive(Debug, Clone)]
pub struct Graph {
    nodes: Vec<Node>,
    /// The rows of each source, by name of its folder.
    pub sources: Vec<(String, Vec<Row>)>,
    /// How the file is written: order, comments.
    layout: u64,
    /// Names given so far.
    names: usize,
}

#[derive(Debug, Clone)]
struct Node {
    name: String,
    kind: &'static str,
    inputs: Vec<usize>,
    config: Map<String, Value>,
    /// Whether every default is written out.
    explicit: bool,
}

/// A row of a source.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its id within the source.
    pub id: String,
    /// A column that stages like.
    pub value: String,
    /// A column that few stages consume.
    pub note: String,
    /// What its file holds.
    pub body: String,
    /// Another number: the file is written again, with the same bytes.
    pub touched: u64,
}

impl Graph {
    /// Up to three sources and up to eight further stages.
    pub fn new(random: &mut ChaCha8Rng) -> Self {
        let mut graph = Graph { nodes: Vec::new(), sources: Vec::new(), layout: random.random(), names: 0 };
        for number in 0..random.random_range(1..=3) {
            let folder = format!("set{number}");
            let mut rows = Vec::new();
            (0..random.random_range(3..14)).for_each(|_| rows.push(graph.row(random)));
            let config = object(json!({ "path": folder, "batch": random.random_range(1..9) }));
            graph.sources.push((folder, rows));
            graph.add("folder", vec![], config);
        }
        for _ in 0..random.random_range(2..=8) {
            let inputs = graph.some_inputs(random);
            graph.stage(random, inputs);
        }
        graph
    }

    fn fresh(&mut self, what: &str) -> String {
        self.names += 1;
        format!("{what}{}", self.names)
    }

    fn row(&mut self, random: &mut ChaCha8Rng) -> Row {
        let id = self.fresh("r");
        // Few values and bodies, so that rows have twins.
        let value = format!("v{}", random.random_range(0..12));
        let body = format!("body {}", random.random_range(0..12));
        Row { id, value, note: "a note".into(), body, touched: 0 }
    }

    fn add(&mut self, kind: &'static str, inputs: Vec<usize>, config: Map<String, Value>) -> usize {
        let name = self.fresh(kind);
        self.nodes.push(Node { name, kind, inputs, config, explicit: false });
        self.nodes.len() - 1
    }

    /// One stage, or two that share no source.
    fn some_inputs(&self, random: &mut ChaCha8Rng) -> Vec<usize> {
        let first = random.random_range(0..self.nodes.len());
        let apart = |&other: &usize| self.origins(other).is_disjoint(&self.origins(first));
        let others: Vec<usize> = (0..self.nodes.len()).filter(apart).collect();
        let second = others.choose(random).filter(|_| random.random_bool(0.4));
        std::iter::once(first).chain(second.copied()).collect()
    }

    /// Adds a stage of any kind that takes rows from those.
    fn stage(&mut self, random: &mut ChaCha8Rng, inputs: Vec<usize>) -> usize {
        let columns = self.columns(&inputs);
        let some = |random: &mut ChaCha8Rng, most: usize| {
            let mut columns = columns.clone();
            columns.shuffle(random);
            columns.truncate(random.random_range(1..=most));
            columns
        };
        let to = self.fresh("c");
        match random.random_range(0..10) {
            0..5 => {
                let config = json!({
                    "from": some(random, 3), "to": to, "length": one_of(random, &[1, 2, 8, 300]),
                    "fails": one_of(random, &[0, 0, 0, 6, 11]), "vector": random.random_bool(0.2),
                    "rows_per_call": random.random_range(1..6), "pause": one_of(random, &[0, 0, 100, 400]),
                });
                self.add("mix", inputs, object(config))
            }
            5..7 => {
                let config = json!({
                    "by": some(random, 1).pop(), "drops": one_of(random, &[0, 2, 3, 5]),
                    "whole": random.random_bool(0.5), "backwards": random.random_bool(0.5),
                });
                self.add("pick", inputs, object(config))
            }
            _ => {
                let artifacts: Vec<String> = inputs.iter().flat_map(|&at| self.artifacts(at)).collect();
                let mut config = object(json!({ "of": some(random, 2), "to": to }));
                if random.random_bool(0.6) {
                    config.insert("gives".into(), self.fresh("a").into());
                }
                if let Some(needs) = artifacts.choose(random).filter(|_| random.random_bool(0.6)) {
                    config.insert("needs".into(), needs.clone().into());
                }
                self.add("tally", inputs, config)
            }
        }
    }

    fn origins(&self, at: usize) -> BTreeSet<usize> {
        match self.nodes[at].inputs[..] {
            [] => BTreeSet::from([at]),
            ref inputs => inputs.iter().flat_map(|&input| self.origins(input)).collect(),
        }
    }

    fn columns(&self, inputs: &[usize]) -> Vec<String> {
        let mut found: BTreeSet<String> = ["value", "note", "file"].map(str::to_owned).into();
        for &at in inputs {
            found.extend(self.nodes[at].config.get("to").and_then(Value::as_str).map(str::to_owned));
            found.extend(self.columns(&self.nodes[at].inputs));
        }
        found.into_iter().collect()
    }

    fn artifacts(&self, at: usize) -> BTreeSet<String> {
        let node = &self.nodes[at];
        let own = node.config.get("gives").and_then(Value::as_str).map(str::to_owned);
        node.inputs.iter().flat_map(|&input| self.artifacts(input)).chain(own).collect()
    }

    /// Names of stages that can be computed again.
    pub fn computing(&self) -> Vec<String> {
        let computing = |node: &&Node| matches!(node.kind, "mix" | "tally");
        self.nodes.iter().filter(computing).map(|node| node.name.clone()).collect()
    }

    /// One edit; says which. It may leave a graph that cannot be planned.
    pub fn edit(&mut self, random: &mut ChaCha8Rng) -> &'static str {
        match random.random_range(0..14) {
            0 | 1 => self.option(random),
            2 => {
                let node = self.nodes.choose_mut(random).unwrap();
                node.explicit = !node.explicit;
                "a default written out or left out"
            }
            3 => {
                let row = self.row(random);
                let (_, rows) = self.sources.choose_mut(random).unwrap();
                rows.insert(random.random_range(0..=rows.len()), row);
                "a row added"
            }
            4 => {
                let (_, rows) = self.sources.choose_mut(random).unwrap();
                if rows.len() > 1 {
                    rows.remove(random.random_range(0..rows.len()));
                }
                "a row removed"
            }
            5 => {
                let (_, rows) = self.sources.choose_mut(random).unwrap();
                rows.shuffle(random);
                "rows reordered"
            }
            6 => {
                let note = self.fresh("note");
                self.some_row(random).note = note;
                "a row relabelled"
            }
            7 => {
                let value = format!("v{}", random.random_range(0..16));
                self.some_row(random).value = value;
                "a value changed"
            }
            8 => {
                let body = format!("body {}", random.random_range(0..16));
                self.some_row(random).body = body;
                "a file changed"
            }
            9 => {
                let touched = random.random();
                self.some_row(random).touched = touched;
                "a file touched"
            }
            10 => {
                let name = self.fresh("renamed");
                self.nodes.choose_mut(random).unwrap().name = name;
                "a stage renamed"
            }
            11 => self.insert(random),
            12 => self.remove(random),
            _ => {
                self.layout = random.random();
                "the file written otherwise"
            }
        }
    }

    fn option(&mut self, random: &mut ChaCha8Rng) -> &'static str {
        let node = self.nodes.choose_mut(random).unwrap();
        let (name, value) = match node.kind {
            "folder" => ("batch", json!(random.random_range(1..9))),
            "mix" => match random.random_range(0..4) {
                0 => ("salt", json!(format!("salt {}", random.random_range(0..3)))),
                1 => ("length", json!(one_of(random, &[1, 2, 8, 300]))),
                2 => ("fails", json!(one_of(random, &[0, 3, 6]))),
                _ => ("rows_per_call", json!(random.random_range(1..9))),
            },
            "pick" => match random.random_range(0..3) {
                0 => ("drops", json!(random.random_range(0..6))),
                1 => ("whole", json!(random.random_bool(0.5))),
                _ => ("backwards", json!(random.random_bool(0.5))),
            },
            _ => ("base", json!(random.random_range(0..4))),
        };
        node.config.insert(name.into(), value);
        "an option changed"
    }

    fn some_row(&mut self, random: &mut ChaCha8Rng) -> &mut Row {
        self.sources.choose_mut(random).unwrap().1.choose_mut(random).unwrap()
    }

    /// A new stage between another one and one of those that take its rows.
    fn insert(&mut self, random: &mut ChaCha8Rng) -> &'static str {
        let at = random.random_range(0..self.nodes.len());
        let readers = self.nodes.iter().enumerate().filter(|(_, node)| node.inputs.contains(&at));
        let readers: Vec<usize> = readers.map(|(reader, _)| reader).collect();
        let new = self.stage(random, vec![at]);
        if let Some(&reader) = readers.choose(random) {
            self.nodes[reader].inputs.iter_mut().filter(|input| **input == at).for_each(|input| *input = new);
        }
        "a stage inserted"
    }

    /// A stage taken out; those that took its rows take them from the stage before it.
    fn remove(&mut self, random: &mut ChaCha8Rng) -> &'static str {
        let at = random.random_range(0..self.nodes.len());
        let [before] = self.nodes[at].inputs[..] else { return "no stage removed" };
        self.nodes.remove(at);
        for input in self.nodes.iter_mut().flat_map(|node| node.inputs.iter_mut()) {
            if *input == at {
                *input = before;
            }
            *input -= usize::from(*input > at);
        }
        "a stage removed"
    }

    /// The stages as text of the pipeline file.
    pub fn text(&self) -> String {
        let mut random = ChaCha8Rng::seed_from_u64(self.layout);
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.shuffle(&mut random);
        let mut text = String::new();
        for at in order {
            if random.random_bool(0.3) {
                text.push_str(&format!("      # a remark {}\n", random.random::<u32>()));
            }
            let node = &self.nodes[at];
            let inputs: Vec<&str> =
                node.inputs.iter().map(|&input| self.nodes[input].name.as_str()).collect();
            let inputs =
                if inputs.is_empty() { String::new() } else { format!("inputs: [{}], ", inputs.join(", ")) };
            let mut config: Vec<(String, Value)> = node.config.clone().into_iter().collect();
            if node.explicit {
                let more =
                    defaults(node.kind).into_iter().filter(|(name, _)| !node.config.contains_key(name));
                config.extend(more);
            }
            config.shuffle(&mut random);
            let config: Vec<String> = config.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            text.push_str(&format!(
                "      {}: {{ kind: {}, {inputs}quarantine_threshold: 1, config: {{ {} }} }}\n",
                node.name,
                node.kind,
                config.join(", ")
            ));
        }
        text
    }
}

fn one_of(random: &mut ChaCha8Rng, numbers: &[u64]) -> Option<u64> {
    numbers.choose(random).copied()
}

/// Options that a kind has when nothing is said.
fn defaults(kind: &str) -> Map<String, Value> {
    object(match kind {
        "folder" => json!({ "batch": 7 }),
        "mix" => {
            json!({ "salt": "", "length": 8, "fails": 0, "vector": false, "pause": 0, "rows_per_call": 4 })
        }
        "pick" => json!({ "drops": 0, "whole": false, "backwards": false }),
        _ => json!({ "base": 0, "gives": null, "needs": null, "pause": 0 }),
    })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
