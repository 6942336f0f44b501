//! `lsp`: a language server for pipeline files, over standard input and output.

use std::io::{stdin, stdout};

use affectflow_pipeline::Registry;

use crate::exit::Outcome;
use crate::lsp;

/// Serves one editor until it says `exit`.
pub fn run(registry: &Registry) -> Outcome {
    lsp::serve(|| stdin().lock(), &mut stdout().lock(), registry)
}
