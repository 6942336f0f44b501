//! The affectflow program as a library, so that a crate of your own can add stages and keep every command.
