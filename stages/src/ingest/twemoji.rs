//! Which of Twemoji's drawings does a run score? The faces of [`super::faces`], built into the program.
//!
//! Graphics: Twemoji, Copyright Twitter, Inc and other contributors, CC-BY 4.0. They are a target only: nothing trains on them.

use affectflow_pipeline::registry::Link;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::stage::Failures;
use affectflow_pipeline::{Digest, Problem, Source, StageResult};
use bytes::Bytes;

use super::Pictures;
use super::faces::{FACES, Face};
use super::labels::Meaning;
use super::options::{Domain, Split};
use super::rows::{Common, Emit, Emitter};

const SCHEME: &str = "twemoji";

/// The faces as a target domain.
pub(super) struct Twemoji {
    common: Common,
}

impl Twemoji {
    pub(super) fn plan(common: Common) -> Result<Self, Problem> {
        match FACES.iter().find(|face| common.labels.meaning(face.class) == Meaning::Unknown) {
            None => Ok(Twemoji { common }),
            Some(Face { class, .. }) => {
                let problem =
                    Problem::new(format!("Twemoji's faces of `{class}` have no class")).option("classes");
                Err(problem.hint(format!(
                    "add it to `classes`, or leave its faces out: `labels: {{{class}: null}}`"
                )))
            }
        }
    }
}

impl Pictures for Twemoji {
    fn common(&self) -> &Common {
        &self.common
    }
}

impl Source for Twemoji {
    fn rows(&self, cx: &Context, emit: Emit<'_>, _: &mut Failures) -> StageResult<()> {
        let mut out = Emitter::new(&self.common, &[], cx, emit);
        for face in FACES {
            let code = face.code();
            let label = self.common.labels.meaning(face.class);
            let id = self.common.id(&code);
            let Some(mut row) = self.common.row(id, Domain::Target, Some(Split::Test), label) else {
                continue;
            };
            row.uri = format!("{SCHEME}:{code}");
            row.digest = Digest::of(face.png());
            row.group = Some(face.name().to_owned());
            out.push(row)?;
        }
        out.finish(SCHEME, false, "every class is left out by `labels`")
    }
}

/// Reads `twemoji:1f600`: the PNG drawing of that code point, 72 x 72 pixels.
pub struct TwemojiLink;

impl Link for TwemojiLink {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn read(&self, uri: &str) -> Result<Bytes, String> {
        let code = uri.strip_prefix(SCHEME).and_then(|rest| rest.strip_prefix(':')).unwrap_or_default();
        let face = FACES.iter().find(|face| face.code() == code);
        face.map(|face| Bytes::from_static(face.png()))
            .ok_or_else(|| format!("`{uri}` is none of the faces in this program"))
    }
}
