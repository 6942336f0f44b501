//! Where do rows come from? Folders, CSV manifests, Twemoji's faces and our generator, all as the same columns.

mod faces;
mod folder;
mod labels;
mod manifest;
mod options;
mod rows;
pub(crate) mod splits;
mod synthetic;
mod twemoji;

use std::path::PathBuf;
use std::sync::Arc;

use affectflow_pipeline::stage::Inputs;
use affectflow_pipeline::{About, Planned, Problem, Retry, Shape, Source, Stage, Work};
use arrow::datatypes::FieldRef;

use crate::columns;

pub use options::{Domain, IngestOptions, Origin, Split, SplitChoice};
pub use splits::Fractions;
pub use synthetic::{SyntheticLink, generated};
pub use twemoji::TwemojiLink;

/// The kind `ingest`.
pub struct Ingest;

impl Stage for Ingest {
    type Options = IngestOptions;

    fn about(&self) -> About {
        About {
            kind: "ingest",
            version: 1,
            summary: "Brings pictures in: a folder, a CSV manifest, Twemoji's faces, or the synthetic generator",
            shape: Shape::Source,
            scores: false,
            retry: Retry::Safe,
            columns: COLUMNS,
            example: "photos: { kind: ingest, config: { source: folder, path: photos, domain: source } }",
        }
    }

    fn plan(&self, options: IngestOptions, inputs: &Inputs) -> Result<Planned, Problem> {
        options.check()?;
        let common = rows::Common::new(&options, inputs)?;
        match options.source {
            Origin::Folder => planned(folder::Folder::plan(&options, inputs, common)?, Vec::new()),
            Origin::Manifest => {
                let manifest = manifest::Manifest::plan(&options, inputs, common)?;
                let extras = manifest.extras().to_vec();
                planned(manifest, extras)
            }
            Origin::Synthetic => planned(synthetic::Synthetic::plan(&options, common)?, Vec::new()),
            Origin::Twemoji => planned(twemoji::Twemoji::plan(common)?, Vec::new()),
        }
    }
}

/// A source that knows the columns which every ingest gives.
trait Pictures: Source + 'static {
    fn common(&self) -> &rows::Common;

    /// The folder or file that it looks into.
    fn place(&self) -> Option<PathBuf> {
        None
    }
}

fn planned(source: impl Pictures, extras: Vec<String>) -> Result<Planned, Problem> {
    let adds = fields(source.common().classes(), &extras);
    let watches = source.place().into_iter().collect();
    Ok(Planned { watches, ..Planned::new(&[], adds, Work::Source(Arc::new(source))) })
}

/// All columns but `id`, in order, the linked `image` among them.
fn fields(classes: &[String], extras: &[String]) -> Vec<FieldRef> {
    let mut fields = vec![
        columns::text(columns::DATASET),
        columns::text(columns::DOMAIN),
        columns::text(columns::SPLIT),
        columns::class(columns::LABEL, classes),
        columns::class(columns::EVAL_LABEL, classes),
    ];
    fields.extend(columns::image());
    fields.extend([columns::GROUP, TOPIC, TEXT].map(columns::text));
    fields.extend(extras.iter().map(|name| columns::text(name)));
    fields
}

const TOPIC: &str = "topic";
const TEXT: &str = "text";

const COLUMNS: &[(&str, &str, &str)] = &[
    ("dataset", "utf8", "the option `dataset`, or the stage's name"),
    ("domain", "utf8", "`source` or `target`"),
    ("split", "utf8", "`train`, `val`, `test`, or `all` where a target has no splits"),
    ("label", "int32, nullable", "class index for training; always null in the target domain"),
    ("eval_label", "int32, nullable", "class index for scoring; only `evaluate` may consume it"),
    ("uri", "utf8", "where the picture lies"),
    ("image_digest", "fixed_size_binary[16]", "digest of the encoded bytes"),
    ("image", "binary", "the encoded bytes, loaded when a stage needs them"),
    ("group", "utf8, nullable", "identity, code point or style"),
    ("topic", "utf8, nullable", "from a manifest"),
    ("text", "utf8, nullable", "from a manifest; of synthetic pictures the caption of the visible cues"),
];
