//! The affectflow program.
fn main() {}
