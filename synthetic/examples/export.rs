//! Write pictures and their captions into a folder
//!
//! `cargo run -p affectflow-synthetic --example export -- --out DIR --domain portrait|sticker|both --count N --seed S
//! [--size 128]` writes `DIR/{domain}-{index}.png` and `DIR/captions.jsonl`, one line a picture.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use affectflow_synthetic::{Domain, Scene, Spec, png, sample};
use serde_json::json;

struct Options {
    out: PathBuf,
    domains: Vec<Domain>,
    count: u64,
    seed: u64,
    size: u32,
}

fn main() -> ExitCode {
    match options(std::env::args().skip(1)).and_then(|options| export(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, Box<dyn Error>> {
    let (mut out, mut domains) = (None, vec![Domain::Portrait, Domain::Sticker]);
    let (mut count, mut seed, mut size) = (60, 0, 128);
    while let Some(flag) = args.next() {
        let value = args.next().ok_or_else(|| format!("`{flag}` needs a value"))?;
        match flag.as_str() {
            "--out" => out = Some(PathBuf::from(value)),
            "--count" => count = value.parse()?,
            "--seed" => seed = value.parse()?,
            "--size" => size = value.parse()?,
            "--domain" => {
                domains = match value.as_str() {
                    "portrait" => vec![Domain::Portrait],
                    "sticker" => vec![Domain::Sticker],
                    "both" => vec![Domain::Portrait, Domain::Sticker],
                    other => {
                        return Err(
                            format!("`{other}` is no domain\nhint: `portrait`, `sticker` or `both`").into()
                        );
                    }
                }
            }
            other => return Err(format!("`{other}` is no option").into()),
        }
    }
    Ok(Options { out: out.ok_or("`--out` is missing")?, domains, count, seed, size })
}

fn export(options: &Options) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(&options.out)?;
    let mut lines = BufWriter::new(File::create(options.out.join("captions.jsonl"))?);
    for &domain in &options.domains {
        for index in 0..options.count {
            let scene = sample(Spec { domain, seed: options.seed, index, size: options.size });
            write(&options.out, &scene, &mut lines)?;
        }
    }
    lines.flush()?;
    Ok(())
}

fn write(folder: &Path, scene: &Scene, lines: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let file = format!("{}-{:06}.png", scene.spec.domain.name(), scene.spec.index);
    fs::write(folder.join(&file), png(scene))?;
    let cues: Vec<&str> = scene.cues.iter().map(|cue| cue.phrase()).collect();
    let units: Vec<_> =
        scene.units.present().map(|(unit, value)| json!([format!("{unit:?}"), value])).collect();
    let row = json!({
        "file": file,
        "domain": scene.spec.domain.name(),
        "emotion": scene.emotion.name(),
        "label": scene.emotion.id(),
        "caption": scene.caption,
        "cues": cues,
        "style": scene.style,
        "units": units,
    });
    writeln!(lines, "{row}")?;
    Ok(())
}
