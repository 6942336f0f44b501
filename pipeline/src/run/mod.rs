//! How does a plan run? Light batches flow through bounded queues; one stage computes at a time.

pub mod context;
pub mod table_rows;
