//! affectflow with a kind more.

mod length;

use std::process::ExitCode;

fn main() -> ExitCode {
    affectflow::main_with(|registry| {
        registry.add(length::Length);
    })
}
