//! Idle stages in a process.

mod stages;

fn main() -> std::process::ExitCode {
    affectflow_plugin::serve(affectflow_plugin::kinds![stages::Idle, stages::Weigh])
}
