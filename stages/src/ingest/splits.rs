//! Which split does a row belong to where the data does not say? Chosen by seed and id, so that adding files moves none.

use affectflow_pipeline::{Digest, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::options::{Domain, IngestOptions, Split};

/// Shares of the splits; they add up to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Fractions {
    /// Share to train on
    #[schemars(range(min = 0.0, max = 1.0))]
    pub train: f64,
    /// Share to choose models by
    #[schemars(range(min = 0.0, max = 1.0))]
    pub val: f64,
    /// Share to score
    #[schemars(range(min = 0.0, max = 1.0))]
    pub test: f64,
}

const SOURCE: Fractions = Fractions { train: 0.7, val: 0.15, test: 0.15 };
const STICKERS: Fractions = Fractions { train: 0.6, val: 0.0, test: 0.4 };

impl Fractions {
    fn at(&self, place: f64) -> Split {
        if place < self.train {
            Split::Train
        } else if place < self.train + self.val {
            Split::Val
        } else if self.test > 0.0 {
            Split::Test
        } else if self.val > 0.0 {
            Split::Val
        } else {
            Split::Train
        }
    }
}

/// Whether these are shares of a whole.
pub(crate) fn add_up(shares: [f64; 3]) -> bool {
    shares.iter().all(|share| (0.0..=1.0).contains(share)) && (shares.iter().sum::<f64>() - 1.0).abs() <= 1e-6
}

/// Chooses splits.
pub(super) struct Splits {
    fixed: Option<Split>,
    fractions: Option<Fractions>,
    seed: u64,
}

impl Splits {
    pub(super) fn new(options: &IngestOptions) -> Result<Self, Problem> {
        if let Some(Fractions { train, val, test }) = options.fractions
            && !add_up([train, val, test])
        {
            let problem = Problem::new(format!("`fractions` {train}, {val}, {test} do not add up to 1"));
            return Err(problem
                .option("fractions")
                .hint("for example `fractions: {train: 0.7, val: 0.15, test: 0.15}`"));
        }
        let fixed = options.split.fixed();
        Ok(Splits { fixed, fractions: options.fractions, seed: options.seed })
    }

    /// The split of a row whose data says `said`.
    pub(super) fn of(&self, id: &str, domain: Domain, said: Option<Split>) -> Split {
        if let Some(split) = self.fixed.or(said) {
            return split;
        }
        match (self.fractions, domain) {
            (Some(fractions), _) => fractions.at(self.place(id)),
            (None, Domain::Source) => SOURCE.at(self.place(id)),
            (None, Domain::Target) => Split::All,
        }
    }

    /// The split of a synthetic picture. Six neighbours show six emotions: they stay together, and the golden ratio spreads
    /// such rounds evenly, so that every split of every prefix is balanced.
    pub(super) fn of_index(&self, index: u64, domain: Domain) -> Split {
        let place = ((index / 6) as f64 * 0.618_033_988_749_894_9).fract();
        let default = if domain == Domain::Source { SOURCE } else { STICKERS };
        self.fixed.unwrap_or_else(|| self.fractions.unwrap_or(default).at(place))
    }

    /// From 0 to 1, by seed and id.
    fn place(&self, id: &str) -> f64 {
        let digest = Digest::of_parts([&b"split"[..], &self.seed.to_le_bytes(), id.as_bytes()]);
        let [a, b, c, d, ..] = digest.0;
        f64::from(u32::from_le_bytes([a, b, c, d])) / 4_294_967_296.0
    }
}
