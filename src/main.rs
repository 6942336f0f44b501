//! The affectflow program.

fn main() -> std::process::ExitCode {
    affectflow::main_with(|_| {})
}
