//! Which pictures does our generator make? Rows by index; the pixels are drawn when a stage loads them.

use std::str::FromStr;

use affectflow_pipeline::registry::Link;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::stage::Failures;
use affectflow_pipeline::{Problem, Source, StageError, StageResult};
use affectflow_synthetic as generator;
use bytes::Bytes;
use generator::{Emotion, Spec};

use super::Pictures;
use super::labels::Meaning;
use super::options::{Domain, IngestOptions};
use super::rows::{BATCH, Common, Emit, Emitter};

const SCHEME: &str = "synthetic";

/// A collection of synthetic pictures.
pub(super) struct Synthetic {
    domain: Domain,
    seed: u64,
    count: u64,
    size: u32,
    common: Common,
}

impl Synthetic {
    pub(super) fn plan(options: &IngestOptions, common: Common) -> Result<Self, Problem> {
        let unknown =
            Emotion::ALL.iter().find(|emotion| common.labels.meaning(emotion.name()) == Meaning::Unknown);
        if let Some(emotion) = unknown {
            let problem = Problem::new(format!("synthetic pictures of `{}` have no class", emotion.name()));
            let hint = format!(
                "add it to `classes`, or leave its pictures out: `labels: {{{}: null}}`",
                emotion.name()
            );
            return Err(problem.option("classes").hint(hint));
        }
        let IngestOptions { seed, count, size, .. } = *options;
        let domain = common.domain.unwrap_or(Domain::Source);
        Ok(Synthetic { domain, seed, count, size, common })
    }

    fn spec(&self, index: u64) -> Spec {
        let domain = match self.domain {
            Domain::Source => generator::Domain::Portrait,
            Domain::Target => generator::Domain::Sticker,
        };
        Spec { domain, seed: self.seed, index, size: self.size }
    }

    fn send(&self, cx: &Context, from: u64, to: u64, out: &mut Emitter<'_>) -> StageResult<()> {
        let uris: Vec<String> = (from..to).map(|index| uri(self.spec(index))).collect();
        // A stop is answered between two pictures, not after the batch.
        let digests = cx
            .digest_of(&uris, |uri| if cx.check().is_err() { Err("stopped".to_owned()) } else { read(uri) });
        cx.check()?;
        for ((index, uri), digest) in (from..to).zip(uris).zip(digests) {
            let scene = generator::sample(self.spec(index));
            let id = self.common.id(&format!("{}/{}/{index:06}", scene.spec.domain.name(), self.seed));
            let split = self.common.splits.of_index(index, self.domain);
            let label = self.common.labels.meaning(scene.emotion.name());
            let Some(mut row) = self.common.row(id, self.domain, Some(split), label) else { continue };
            row.uri = uri;
            row.digest = digest.map_err(StageError::new)?;
            row.group = Some(scene.style.to_owned());
            row.text = Some(scene.caption);
            out.push(row)?;
        }
        Ok(())
    }
}

impl Pictures for Synthetic {
    fn common(&self) -> &Common {
        &self.common
    }
}

impl Source for Synthetic {
    fn rows(&self, cx: &Context, emit: Emit<'_>, _: &mut Failures) -> StageResult<()> {
        let mut out = Emitter::new(&self.common, &[], cx, emit);
        for from in (0..self.count).step_by(BATCH) {
            self.send(cx, from, self.count.min(from + BATCH as u64), &mut out)?;
        }
        out.finish(SCHEME, false, "every emotion is left out by `labels`")
    }
}

/// Pictures to begin a project with, so many of each emotion: its name, a name for the file, and the bytes as PNG.
pub fn generated(domain: Domain, seed: u64, each: usize) -> Vec<(&'static str, String, Vec<u8>)> {
    let domain = match domain {
        Domain::Source => generator::Domain::Portrait,
        Domain::Target => generator::Domain::Sticker,
    };
    let mut pictures = Vec::new();
    for emotion in Emotion::ALL {
        let scenes = (0..).map(|index| generator::sample(Spec { domain, seed, index, size: 128 }));
        let wanted = scenes.filter(|scene| scene.emotion == emotion).take(each);
        pictures.extend(
            wanted.map(|scene| {
                (emotion.name(), format!("{:06}.png", scene.spec.index), generator::png(&scene))
            }),
        );
    }
    pictures
}

fn uri(spec: Spec) -> String {
    let Spec { domain, seed, index, size } = spec;
    format!("{SCHEME}:v{}/{}/{seed}/{index}/{size}", generator::VERSION, domain.name())
}

fn parse(uri: &str) -> Option<(u32, Spec)> {
    fn number<T: FromStr>(text: Option<&str>) -> Option<T> {
        text?.parse().ok()
    }
    let mut parts = uri.strip_prefix(SCHEME)?.strip_prefix(":v")?.split('/');
    let version = number(parts.next())?;
    let domain = match parts.next()? {
        "portrait" => generator::Domain::Portrait,
        "sticker" => generator::Domain::Sticker,
        _ => return None,
    };
    let spec = Spec {
        domain,
        seed: number(parts.next())?,
        index: number(parts.next())?,
        size: number(parts.next())?,
    };
    parts.next().is_none().then_some((version, spec))
}

fn read(uri: &str) -> Result<Bytes, String> {
    match parse(uri) {
        Some((generator::VERSION, spec)) => Ok(generator::png(&generator::sample(spec)).into()),
        Some((version, _)) => Err(format!(
            "`{uri}` is of version {version} of the generator, this program has version {}",
            generator::VERSION
        )),
        None => Err(format!("`{uri}` names no synthetic picture")),
    }
}

/// Draws what `synthetic:v<version>/<portrait|sticker>/<seed>/<index>/<size>` names, as a PNG file.
pub struct SyntheticLink;

impl Link for SyntheticLink {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn read(&self, uri: &str) -> Result<Bytes, String> {
        read(uri)
    }
}
