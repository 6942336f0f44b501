//! What does a training stage tell of its epochs? Numbers by name, kept as well, so that a resumed run tells all of them.

use affectflow_pipeline::run::context::Context;
use serde::{Deserialize, Serialize};

/// A number that was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    name: String,
    /// The bits of the value: decimal text would neither round nor know infinities.
    bits: u64,
    epoch: u64,
}

/// Tells numbers and keeps them.
pub struct Ledger<'a> {
    cx: &'a Context,
    told: Vec<Told>,
}

impl<'a> Ledger<'a> {
    /// Nothing told yet.
    pub fn new(cx: &'a Context) -> Self {
        Ledger { cx, told: Vec::new() }
    }

    /// What has been told, in order.
    pub fn told(&self) -> &[Told] {
        &self.told
    }

    /// Tells again what an earlier run of the same training told.
    pub fn again(&mut self, told: Vec<Told>) {
        told.iter().for_each(|told| self.metric(&told.name, f64::from_bits(told.bits), told.epoch as usize));
    }

    /// Tells a number of an epoch.
    pub fn metric(&mut self, name: &str, value: f64, epoch: usize) {
        let epoch = epoch as u64;
        self.cx.metric(name, value, Some(epoch));
        self.told.push(Told { name: name.to_owned(), bits: value.to_bits(), epoch });
    }

    /// Says something that stops nothing.
    pub fn warn(&self, message: String) {
        self.cx.warn(message);
    }
}
