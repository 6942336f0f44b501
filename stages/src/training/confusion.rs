//! How good are class predictions? A confusion matrix and the scores taken from it.
//!
//! Where a class was never predicted its precision is 0, as is its F1 when both of its parts are 0. Macro-F1 is the mean
//! over the classes that occur in the truth: a class without a single row there says nothing of the predictor.

/// Counts of (truth, prediction).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    cells: Vec<u64>,
}

/// Scores of one class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassScores {
    /// Share of its predictions that are right.
    pub precision: f64,
    /// Share of its rows that are found.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Its rows in the truth.
    pub support: u64,
}

impl Confusion {
    /// No rows yet.
    pub fn new(classes: usize) -> Self {
        Confusion { classes, cells: vec![0; classes * classes] }
    }

    /// Counts rows of a truth and a prediction; indices beyond the classes are not counted.
    pub fn add(&mut self, truth: usize, prediction: usize, rows: u64) {
        if truth < self.classes && prediction < self.classes {
            self.cells[truth * self.classes + prediction] += rows;
        }
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.cells.fill(0);
    }

    /// Rows counted.
    pub fn rows(&self) -> u64 {
        self.cells.iter().sum()
    }

    /// Rows of the matrix: the truth; columns: the prediction.
    pub fn matrix(&self) -> Vec<Vec<u64>> {
        self.cells.chunks(self.classes.max(1)).map(<[u64]>::to_vec).collect()
    }

    /// Share of rows predicted right; `None` without rows.
    pub fn accuracy(&self) -> Option<f64> {
        let right: u64 = (0..self.classes).map(|class| self.at(class, class)).sum();
        match self.rows() {
            0 => None,
            rows => Some(right as f64 / rows as f64),
        }
    }

    /// Mean F1 over the classes that occur in the truth; `None` without rows.
    pub fn macro_f1(&self) -> Option<f64> {
        let scores = (0..self.classes).map(|class| self.class(class)).filter(|scores| scores.support > 0);
        let (sum, count) = scores.fold((0.0, 0), |(sum, count), scores| (sum + scores.f1, count + 1));
        (count > 0).then(|| sum / count as f64)
    }

    /// Scores of one class.
    pub fn class(&self, class: usize) -> ClassScores {
        let right = self.at(class, class);
        let support: u64 = (0..self.classes).map(|prediction| self.at(class, prediction)).sum();
        let predicted: u64 = (0..self.classes).map(|truth| self.at(truth, class)).sum();
        ClassScores {
            precision: ratio(right, predicted),
            recall: ratio(right, support),
            f1: ratio(2 * right, predicted + support),
            support,
        }
    }

    fn at(&self, truth: usize, prediction: usize) -> u64 {
        self.cells[truth * self.classes + prediction]
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_without_rows_does_not_count() {
        let mut confusion = Confusion::new(3);
        assert_eq!((confusion.accuracy(), confusion.macro_f1()), (None, None));
        confusion.add(0, 0, 3);
        confusion.add(0, 1, 1);
        confusion.add(1, 1, 4);
        assert_eq!(confusion.accuracy(), Some(7.0 / 8.0));
        let f1 = (6.0 / 7.0 + 8.0 / 9.0) / 2.0;
        assert!((confusion.macro_f1().unwrap_or(0.0) - f1).abs() < 1e-12);
        assert_eq!(confusion.class(2), ClassScores { precision: 0.0, recall: 0.0, f1: 0.0, support: 0 });
        assert_eq!(confusion.matrix(), [[3, 1, 0], [0, 4, 0], [0, 0, 0]]);
    }
}
