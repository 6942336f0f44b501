//! A plugin that does what its first argument says, which is never what it should: for `tests/plugins.rs`.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

use affectflow_plugin::wire::{self, Ask, Tell};
use affectflow_plugin::{Contract, Manifest};
use arrow::array::{Array, ArrayRef, AsArray, Float32Array, RecordBatch, StringArray, UInt32Array};
use arrow::datatypes::{Field, Schema};

fn main() {
    let mode = std::env::args().nth(1).unwrap_or_default();
    let (mut from, mut to) = (std::io::stdin().lock(), std::io::stdout().lock());
    match mode.as_str() {
        "leaves" => {
            eprintln!("no lexicon, so there is nothing to do");
            std::process::exit(7);
        }
        "prints" => println!("loading the model ..."),
        _ => {}
    }
    let mut calls = 0;
    while let Some(line) = wire::line(&mut from).unwrap() {
        match serde_json::from_slice(&line).unwrap() {
            Ask::Hello { .. } => say(&mut to, &hello(&mode), &[]),
            Ask::Open { .. } if mode == "shut" => {
                let message = "there is no lexicon `en`".to_owned();
                say(&mut to, &Tell::Error { message, detail: None }, &[]);
            }
            Ask::Open { worker, .. } => say(&mut to, &Tell::Opened { worker }, &[]),
            Ask::Call { worker, bytes, .. } => {
                calls += 1;
                call(&mode, worker, bytes, calls, &mut from, &mut to);
            }
            Ask::Close { .. } => {}
        }
    }
}

/// Whoever does not listen any longer has had enough.
fn say(to: &mut impl Write, tell: &Tell, payload: &[u8]) {
    if wire::write(to, tell, payload).is_err() {
        std::process::exit(1);
    }
}

fn hello(mode: &str) -> Tell {
    let (min, max) = match mode {
        "old" => (0, 0),
        "new" => (2, 9),
        _ => (1, 1),
    };
    let new = if mode == "table" { Manifest::table } else { Manifest::map };
    let kind = new("unruly", 1, "Does what it should not").reads("caption", "utf8");
    let kind = match mode {
        "untyped" => kind.adds("length", "uint33", ""),
        "texts" => kind.adds("length", "utf8", ""),
        _ => kind.adds("length", "uint32", ""),
    };
    let (files, packages) = Default::default();
    Tell::Hello { contract: Contract { min, max }, sdk: "none".into(), kinds: vec![kind], files, packages }
}

fn call(mode: &str, worker: u64, bytes: u64, calls: u32, from: &mut impl BufRead, to: &mut impl Write) {
    if mode == "deaf" {
        // Reads nothing of what follows, however much that is.
        std::thread::sleep(Duration::from_secs(3600));
    }
    let (_, batches) = wire::decode(wire::payload(from, bytes).unwrap()).unwrap();
    let captions = batches[0].column(1).as_string::<i32>().clone();
    let asked = |word: &str| captions.iter().flatten().any(|caption| caption.contains(word));
    match mode {
        "dies" if asked("7") => std::process::abort(),
        "hangs" if asked("7") => std::thread::sleep(Duration::from_secs(3600)),
        "loud" => (0..100_000).for_each(|n| eprintln!("{n:0100}")),
        "eats" => {
            let mut all: Vec<Vec<u8>> = Vec::new();
            loop {
                all.push(vec![1; 16 << 20]);
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        "spawns" => loop {
            let child = std::process::Command::new("sleep").arg("3600").spawn();
            std::mem::forget(child);
            std::thread::sleep(Duration::from_millis(2));
        },
        "fails" => {
            let message = "ValueError: no word for `sticker`".to_owned();
            let detail = Some("Traceback: mine.py, line 7".to_owned());
            return say(to, &Tell::Error { message, detail }, &[]);
        }
        "talks" => return writeln!(to, "row 1 done").unwrap(),
        _ => {}
    }
    let lengths: ArrayRef =
        Arc::new(captions.iter().map(|one| one.map(|one| one.len() as u32)).collect::<UInt32Array>());
    let column: ArrayRef = match mode {
        "floats" => Arc::new(Float32Array::from(vec![1.0; captions.len()])),
        "turns" if calls > 1 => Arc::new(Float32Array::from(vec![1.0; captions.len()])),
        "counts" => Arc::new(UInt32Array::from(vec![calls; captions.len()])),
        "table" => Arc::new(UInt32Array::from(vec![captions.len() as u32; captions.len()])),
        "who" => Arc::new(UInt32Array::from(vec![std::process::id(); captions.len()])),
        "short" => lengths.slice(0, captions.len() - 1),
        "texts" => Arc::new(StringArray::from(vec!["texts"; captions.len()])),
        _ => lengths,
    };
    let name = if mode == "names" { "width" } else { "length" };
    let schema = Arc::new(Schema::new(vec![Field::new(name, column.data_type().clone(), true)]));
    let batch = RecordBatch::try_new(schema.clone(), vec![column]).unwrap();
    let mut payload = wire::encode(&schema, [&batch]).unwrap();
    if mode == "junk" {
        payload = b"no stream of Arrow, but as long as was promised".to_vec();
    }
    if mode == "texts" {
        payload = broken(payload);
    }
    let failures = Vec::new();
    let tell = Tell::Result { worker, failures, bytes: payload.len() as u64 };
    if mode == "half" {
        payload.truncate(payload.len() / 2);
        say(to, &tell, &payload);
        std::process::exit(0);
    }
    say(to, &tell, &payload);
}

/// A stream of texts whose second offset points far behind their bytes.
fn broken(mut stream: Vec<u8>) -> Vec<u8> {
    let offsets: Vec<u8> = [0i32, 5].iter().flat_map(|offset| offset.to_le_bytes()).collect();
    let at = stream.windows(offsets.len()).position(|bytes| bytes == offsets).unwrap();
    stream[at + 4..at + 8].copy_from_slice(&1_000_000i32.to_le_bytes());
    stream
}
