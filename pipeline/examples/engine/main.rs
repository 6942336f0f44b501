//! How fast is the engine by itself? Benches on toy kinds, asked word by word, so that `benches/engine.py` can take turns
//!
//! `cargo run -p affectflow-pipeline --example engine -- BENCH [NUMBER]` prepares a temporary state folder, then answers
//! every word on standard input with one line of JSON: what was done, in `seconds` of the clock and `cpu` seconds.
//!
//! | bench | NUMBER | words |
//! |---|---|---|
//! | `idle` | stages | `again` |
//! | `lookups` | rows | `ordered`, `shuffled`, `parts`, `parts_shuffled` |
//! | `many_ids` | rows | `cold`, `again` |
//! | `pass_through` | rows | `ours`, `arrow`, `files` |
//! | `segments` | rows | `make`, `open` |
//! | `tensors` | rows | `write`, `read`, `read_shuffled`, `arrow_write`, `arrow_read`, `files` |

mod chain;
mod idle;
mod kinds;
mod lookups;
mod many_ids;
mod measure;
mod pass_through;
mod segments;
mod tensors;

use std::error::Error;
use std::io::stdin;
use std::process::ExitCode;

use serde_json::Value;

/// Whatever goes wrong ends the bench.
type Answer<T = Value> = Result<T, Box<dyn Error>>;

/// One bench, prepared.
trait Bench {
    /// Does what the word says and tells how long it took.
    fn turn(&mut self, word: &str) -> Answer;
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match answer(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn answer(arguments: &[&str]) -> Answer<()> {
    if let ["open", cache, rows] = arguments {
        println!("{}", segments::open(cache.into(), rows.parse()?)?);
        return Ok(());
    }
    let (bench, number) = match arguments {
        [bench] => (*bench, None),
        [bench, number] => (*bench, Some(number.parse().map_err(|_| format!("`{number}` is no number"))?)),
        _ => return Err("name a bench, and a number of rows or stages where you like".into()),
    };
    let mut bench = prepared(bench, number)?;
    for word in stdin().lines() {
        println!("{}", bench.turn(word?.trim())?);
    }
    Ok(())
}

fn prepared(bench: &str, number: Option<usize>) -> Answer<Box<dyn Bench>> {
    let or = |usual: usize| number.unwrap_or(usual);
    Ok(match bench {
        "idle" => Box::new(idle::Idle::new(or(100))?),
        "lookups" => Box::new(lookups::Lookups::new(or(1_000_000))?),
        "many_ids" => Box::new(many_ids::ManyIds::new(or(10_000_000))?),
        "pass_through" => Box::new(pass_through::PassThrough::new(or(1_000_000))?),
        "segments" => Box::new(segments::Segments::new(or(10_000_000))?),
        "tensors" => Box::new(tensors::Tensors::new(or(2048))?),
        _ => return Err(format!("no bench `{bench}`; the top of the example names them all").into()),
    })
}
