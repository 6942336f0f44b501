//! Does the book show what happens? Every page with commands is followed in a folder of its own, step by step, and what the
//! real program answers must be what the page shows. `AFFECTFLOW_BLESS=1` writes the answers anew.
//!
//! - A block with `file=NAME` is written to that file; ` ```diff file=NAME ` changes it; with `shows=NAME` it is what the file
//!   holds
//! - In a block ` ```console ` each line behind `$ ` is run by `sh`, and what follows must be printed. The last command may end
//!   with `code=N`; the others, and where no code is given all of them, end with 0
//! - `^C` under a command is Ctrl-C, pressed once the stage `embed` has computed some rows
//! - A line `...` stands for any lines. Times, sizes, dates, names of runs and numbers with a point may be others; with the
//!   word `numbers-vary` every number may
//! - A picture in the folder named after the page is one that a command wrote
//!
//! Compiling a crate takes minutes, so `cargo run -q --` stands for this very binary, which has the kind of the tutorial in it.

#[path = "../common/mod.rs"]
mod common;
mod follow;
#[path = "../../src/commands/init/plugin/length.rs"]
mod length;
mod same;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use common::markdown::{blocks, pages};
use common::repository;

/// The name under which this binary is the program of the tutorial "Add a stage".
pub const OWN: &str = "my-affectflow";

fn main() -> ExitCode {
    let mut args = std::env::args();
    if args.next().is_some_and(|name| Path::new(&name).ends_with(OWN)) {
        return affectflow::main_with(|registry| {
            registry.add(length::Length);
        });
    }
    let args: Vec<String> = args.collect();
    same::checked();
    let list = args.iter().any(|arg| arg == "--list");
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let source = repository("book/src");
    let mut failed = false;
    for path in pages(&source) {
        let name = path.strip_prefix(&source).unwrap().with_extension("").display().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        let followed = cfg!(unix) && blocks(&text).iter().any(|block| block.language == "console");
        if !followed || !(wanted.is_empty() || wanted.iter().any(|part| name.contains(*part))) {
            continue;
        }
        if list {
            println!("{name}: test");
            continue;
        }
        let began = Instant::now();
        let wrong = follow::page(&path, &text);
        let verdict = if wrong.is_empty() { "ok" } else { "FAILED" };
        println!("page {name} ... {verdict}, {:.1} s", began.elapsed().as_secs_f64());
        wrong.iter().for_each(|one| println!("{one}"));
        failed |= !wrong.is_empty();
    }
    ExitCode::from(u8::from(failed))
}
