//! What can be said of an ingest? Its options, and what of them contradicts itself.

use std::path::PathBuf;

use affectflow_pipeline::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::labels::Labels;
use super::splits::Fractions;
use crate::columns;
use crate::conditions::Conditions;

/// The six emotions in order of index (docs/method.md §1).
pub const EMOTIONS: [&str; 6] = ["surprise", "happy", "disgust", "fear", "sad", "anger"];

/// Options of `ingest`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IngestOptions {
    /// Where the pictures come from
    pub source: Origin,
    /// The folder or the CSV file, relative to the pipeline file
    #[schemars(extend("x-identity" = false))]
    pub path: Option<PathBuf>,
    /// Labelled source or unlabelled target; needed for a folder or a manifest without a column `domain`. Synthetic
    /// portraits are the source by default, synthetic stickers the target, Twemoji always the target
    pub domain: Option<Domain>,
    /// One split for all rows, or `auto`: the split folder or column; else by `fractions`; else `all` in the target
    pub split: SplitChoice,
    /// Shares of the splits where the data has none. Default: 0.7, 0.15, 0.15 in the source; synthetic stickers 0.6 train, 0.4 test
    pub fractions: Option<Fractions>,
    /// What label names mean: `auto`, `none` (there are no labels), `ser30k` or `fi` (the numbers of these datasets), or a map from names to classes on top of `auto`
    /// (`{joyful: happy, unsure: null}`; `null` leaves such rows out)
    pub labels: Labels,
    /// The classes in order of index
    #[schemars(length(min = 1))]
    pub classes: Vec<String>,
    /// The first part of every id; the stage's name by default
    pub dataset: Option<String>,
    /// Of a manifest, keep the rows whose columns have these values: `{column: value or list}`
    #[serde(rename = "where")]
    pub conditions: Conditions,
    /// Number of synthetic pictures
    #[schemars(range(min = 1), extend("x-unit" = "pictures"))]
    pub count: u64,
    /// Side of the synthetic pictures
    #[schemars(range(min = 16, max = 1024), extend("x-unit" = "px"))]
    pub size: u32,
    /// Seed of the synthetic pictures and of splits by `fractions`
    pub seed: u64,
}

impl Default for IngestOptions {
    fn default() -> Self {
        IngestOptions {
            source: Origin::Folder,
            path: None,
            domain: None,
            split: SplitChoice::Auto,
            fractions: None,
            labels: Labels::Auto,
            classes: EMOTIONS.map(str::to_owned).to_vec(),
            dataset: None,
            conditions: Conditions::new(),
            count: 1200,
            size: 128,
            seed: 0,
        }
    }
}

/// Where pictures come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// `<class>/x.png`, `<split>/<class>/x.png`, or pictures without labels
    Folder,
    /// A CSV file with a column `path`, and `label`, `split`, `domain`, `group`, `topic`, `text` and others where it has them
    Manifest,
    /// The seeded generator: portraits in the source domain, stickers in the target domain
    Synthetic,
    /// Twemoji's drawings of faces that express one of the six emotions (CC-BY 4.0)
    Twemoji,
}

impl Origin {
    fn name(self) -> &'static str {
        match self {
            Origin::Folder => "folder",
            Origin::Manifest => "manifest",
            Origin::Synthetic => "synthetic",
            Origin::Twemoji => "twemoji",
        }
    }
}

/// Labelled source or unlabelled target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Domain {
    /// Its labels train
    Source,
    /// Its labels are only ever scored against
    Target,
}

impl Domain {
    /// As in column `domain`.
    pub fn name(self) -> &'static str {
        match self {
            Domain::Source => columns::SOURCE,
            Domain::Target => columns::TARGET,
        }
    }

    /// Reads `source` and `target`.
    pub fn parse(text: &str) -> Option<Self> {
        [Domain::Source, Domain::Target].into_iter().find(|domain| domain.name().eq_ignore_ascii_case(text))
    }
}

/// A split of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// To train on.
    Train,
    /// To choose models by.
    Val,
    /// To score.
    Test,
    /// For everything: a target without splits.
    All,
}

impl Split {
    /// As in column `split`.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
            Split::All => "all",
        }
    }

    /// Reads the name of a folder or cell, in any case: `train`, `training`, `val`, `valid`, `validation`, `dev`, `test`, `testing`, `all`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Split::Train),
            "val" | "valid" | "validation" | "dev" => Some(Split::Val),
            "test" | "testing" => Some(Split::Test),
            "all" => Some(Split::All),
            _ => None,
        }
    }
}

/// The option `split`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SplitChoice {
    /// As the data says, else by `fractions`
    Auto,
    /// All rows to train on
    Train,
    /// All rows to choose models by
    Val,
    /// All rows to score
    Test,
    /// All rows for everything
    All,
}

impl SplitChoice {
    /// The split that overrides all others.
    pub fn fixed(self) -> Option<Split> {
        match self {
            SplitChoice::Auto => None,
            SplitChoice::Train => Some(Split::Train),
            SplitChoice::Val => Some(Split::Val),
            SplitChoice::Test => Some(Split::Test),
            SplitChoice::All => Some(Split::All),
        }
    }
}

impl IngestOptions {
    /// Contradictions that no type can exclude.
    pub(super) fn check(&self) -> Result<(), Problem> {
        Problem::all([
            self.check_path(),
            self.check_conditions(),
            self.check_domain(),
            self.check_size(),
            self.check_dataset(),
            self.check_classes(),
        ])
    }

    fn check_path(&self) -> Result<(), Problem> {
        let on_disk = matches!(self.source, Origin::Folder | Origin::Manifest);
        let source = self.source.name();
        match &self.path {
            None if on_disk => {
                let what = if source == "folder" { "folder of pictures" } else { "CSV file" };
                Err(Problem::new(format!("`source: {source}` needs `path`"))
                    .hint(format!("add `path:` with a {what}")))
            }
            Some(_) if !on_disk => {
                let problem = Problem::new(format!("`path` has no meaning with `source: {source}`"));
                Err(problem.option("path").hint("remove it, or set `source: folder` or `source: manifest`"))
            }
            _ => Ok(()),
        }
    }

    fn check_conditions(&self) -> Result<(), Problem> {
        if self.conditions.is_empty() || self.source == Origin::Manifest {
            return Ok(());
        }
        let message = format!("`where` has no meaning with `source: {}`", self.source.name());
        Err(Problem::new(message).option("where").hint("put a stage `kind: filter` behind this one"))
    }

    fn check_domain(&self) -> Result<(), Problem> {
        if self.source != Origin::Twemoji || self.domain != Some(Domain::Source) {
            return Ok(());
        }
        let problem = Problem::new("Twemoji is a target only: its drawings are never trained on");
        Err(problem.option("domain").hint("remove `domain`, or write `domain: target`"))
    }

    fn check_size(&self) -> Result<(), Problem> {
        let wrong = |option: &str, range: &str| {
            Err(Problem::new(format!("`{option}` must be {range}")).option(option))
        };
        match self.source {
            Origin::Synthetic if self.count == 0 => wrong("count", "at least 1"),
            Origin::Synthetic if !(16..=1024).contains(&self.size) => wrong("size", "from 16 to 1024"),
            _ => Ok(()),
        }
    }

    fn check_dataset(&self) -> Result<(), Problem> {
        match self.dataset.as_deref().is_some_and(|name| name.is_empty() || name.contains('/')) {
            true => Err(Problem::new("`dataset` must be a name without `/`").option("dataset")),
            false => Ok(()),
        }
    }

    fn check_classes(&self) -> Result<(), Problem> {
        if self.classes.is_empty() {
            return Err(Problem::new("`classes` is empty")
                .option("classes")
                .hint("leave it out for the six emotions"));
        }
        let twice = self.classes.iter().enumerate().find(|(at, class)| {
            class.trim().is_empty()
                || self.classes[..*at].iter().any(|earlier| earlier.eq_ignore_ascii_case(class))
        });
        match twice {
            Some((_, class)) => {
                Err(Problem::new(format!("class `{class}` is empty or there twice, whatever the case"))
                    .option("classes"))
            }
            None => Ok(()),
        }
    }
}
