//! Which pseudo-labels are trusted? Those sure enough, and of each class only the surest share (docs/method.md §7).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The two thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Filter {
    /// Least probability.
    pub min_confidence: f64,
    /// Share of each class's rows that may pass, surest first, from 0 to 1.
    pub per_class_quantile: f64,
}

/// A proposed class and its probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proposal {
    /// The class.
    pub class: u32,
    /// Its probability.
    pub confidence: f32,
}

impl Proposal {
    /// The most probable class; of equals the first.
    pub fn of(probabilities: &[f32]) -> Self {
        let better = |best: Proposal, (class, &confidence): (usize, &f32)| match confidence > best.confidence
        {
            true => Proposal { class: class as u32, confidence },
            false => best,
        };
        probabilities.iter().enumerate().fold(Proposal { class: 0, confidence: f32::NEG_INFINITY }, better)
    }
}

impl Filter {
    /// The class of each proposal, `None` where it is rejected. Equal confidences pass in order.
    pub fn accept(&self, proposals: &[Proposal]) -> Vec<Option<u32>> {
        let classes = proposals.iter().map(|p| p.class + 1).max().unwrap_or(0);
        let mut accepted = vec![None; proposals.len()];
        for class in 0..classes {
            let mut members: Vec<usize> =
                (0..proposals.len()).filter(|&i| proposals[i].class == class).collect();
            members.sort_by(|&a, &b| {
                proposals[b].confidence.total_cmp(&proposals[a].confidence).then(a.cmp(&b))
            });
            let pass = (members.len() as f64 * self.per_class_quantile).ceil() as usize;
            for &member in members.iter().take(pass) {
                if f64::from(proposals[member].confidence) >= self.min_confidence {
                    accepted[member] = Some(class);
                }
            }
        }
        accepted
    }
}

/// Share of each class among the accepted, and the entropy of those shares over that of equal ones (1 even, 0 collapsed).
pub fn spread(accepted: &[Option<u32>], classes: usize) -> (Vec<f64>, f64) {
    let mut counts = vec![0usize; classes];
    accepted.iter().flatten().for_each(|&class| counts[class as usize] += 1);
    let total = counts.iter().sum::<usize>().max(1) as f64;
    let shares: Vec<f64> = counts.iter().map(|&count| count as f64 / total).collect();
    let entropy: f64 = shares.iter().filter(|share| **share > 0.0).map(|share| -share * share.ln()).sum();
    (shares, if classes > 1 { entropy / (classes as f64).ln() } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surest_of_each_class_pass() {
        let of = |class, confidence| Proposal { class, confidence };
        let proposals = [of(0, 0.9), of(0, 0.8), of(0, 0.7), of(0, 0.95), of(1, 0.5), of(1, 0.4)];
        let half = Filter { min_confidence: 0.0, per_class_quantile: 0.5 };
        assert_eq!(half.accept(&proposals), [Some(0), None, None, Some(0), Some(1), None]);
        let sure = Filter { min_confidence: 0.75, per_class_quantile: 1.0 };
        assert_eq!(sure.accept(&proposals), [Some(0), Some(0), None, Some(0), None, None]);
        assert!(half.accept(&[]).is_empty());
    }

    #[test]
    fn entropy_tells_collapse() {
        assert_eq!(spread(&[Some(1), Some(1), None], 2), (vec![0.0, 1.0], 0.0));
        assert!((spread(&[Some(0), Some(1)], 2).1 - 1.0).abs() < 1e-12);
    }
}
