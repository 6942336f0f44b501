//! KIND as a process: it answers over standard input and output, and ends with them.

use std::process::ExitCode;

fn main() -> ExitCode {
    affectflow_plugin::serve(affectflow_plugin::kinds![CRATE::TYPE])
}
