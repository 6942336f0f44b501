//! How often and how long may a stage try? The keys `retries`, `retry_wait` and `time_limit`.

use std::time::Duration;

use crate::error::Problem;
use crate::spec::StageSpec;
use crate::stage::{About, Retry, Shape};

/// Longest wait between two tries.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What a stage's file says of trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries {
    /// Tries after the first one, for a call or for rows that failed.
    pub retries: u32,
    /// Time before the second try; it doubles with each, up to [`LONGEST_WAIT`].
    pub wait: Duration,
    /// Longest that computing one call of a map stage may take, its rows read and decoded and weights loaded, or the whole
    /// work of a table.
    pub limit: Option<Duration>,
}

impl Default for Tries {
    fn default() -> Self {
        Tries { retries: 0, wait: Duration::from_secs(1), limit: None }
    }
}

impl Tries {
    /// Time to wait after that many tries.
    pub fn pause(&self, tried: u32) -> Duration {
        let doubled = 1u32.checked_shl(tried.saturating_sub(1)).unwrap_or(u32::MAX);
        self.wait.saturating_mul(doubled).min(LONGEST_WAIT)
    }
}

/// Keys that a stage of that kind cannot have.
pub(super) fn check(spec: &StageSpec, about: &About) -> Vec<Problem> {
    let problem = |name: &crate::spec::Name| {
        let (key, kind) = (&name.text, about.kind);
        let (message, hint) = match (about.shape, about.retry) {
            (Shape::Source | Shape::Subset, _) => (
                format!("`{key}` has no effect on a stage of kind `{kind}`"),
                "it is for stages that compute rows or learn from them; remove it".to_owned(),
            ),
            (_, Retry::Unsafe) if key == "retries" => (
                format!("kind `{kind}` is not safe to try again, so it takes no `retries`"),
                "remove it: what the first try did outside would be done twice".to_owned(),
            ),
            _ => return None,
        };
        Some(Problem::new(message).at(name.span.clone()).hint(hint))
    };
    spec.tries_at.iter().filter_map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute() {
        let seconds = |wait, tried| Tries { wait, ..Tries::default() }.pause(tried).as_millis();
        let second = Duration::from_secs(1);
        assert_eq!([1, 2, 3, 7, 100].map(|tried| seconds(second, tried)), [1000, 2000, 4000, 60000, 60000]);
        assert_eq!(seconds(Duration::ZERO, 50), 0);
    }
}
