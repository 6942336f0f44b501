//! Idle stages in a shared library.

mod stages;

affectflow_plugin::export!(stages::Idle, stages::Weigh);
