//! How many pictures a second do the networks of `builtin:tiny` take on this CPU?
//!
//! `RAYON_NUM_THREADS=2 cargo run -p affectflow-models --example throughput -- --pictures FILE` reads pictures as
//! raw RGB of 128 by 128 pixels, one after another (`benches/networks.py` writes such a file), and then one word a line:
//!
//! - `caption`: captions every picture and makes its knowledge; answers with the seconds that took
//! - `perceive`: runs both networks on every picture and takes the statistics; answers with the seconds
//! - `check`: answers with the captions and the statistics as one line of JSON
//!
//! Pictures are computed side by side and each alone, as `embed` and `perceive` do.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use affectflow_models::blip::{Blip, GenerateOptions};
use affectflow_models::builtin::builtin;
use affectflow_models::clip::{ClipText, KnowledgeOptions, Triple};
use affectflow_models::diffusion::{InputNorm, Options, Perceiver};
use affectflow_models::{DType, Device, Result, Tensor};
use rayon::prelude::*;
use serde_json::json;

/// What every caption is taken to state; `benches/networks.py` has the same.
const TRIPLES: [[&str; 3]; 2] = [["a person", "opens", "the mouth"], ["the brows", "are", "raised"]];

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> std::result::Result<(), Box<dyn Error>> {
    let file = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [flag, file] if flag == "--pictures" => PathBuf::from(file),
        _ => return Err("`--pictures FILE` is missing\nhint: `benches/networks.py` writes one".into()),
    };
    let networks = Networks::load()?;
    let side = networks.blip.image_size();
    let pixels = std::fs::read(&file)?;
    let pictures: Vec<&[u8]> = pixels.chunks(side * side * 3).collect();
    if pictures.last().is_none_or(|last| last.len() != side * side * 3) {
        return Err(format!("`{}` holds no whole pictures of {side} by {side} pixels", file.display()).into());
    }
    let made = networks.captions(&pictures)?;
    let known: Vec<&Tensor> = made.iter().map(|(_, knowledge)| knowledge).collect();
    let mut out = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let started = Instant::now();
        let answer = match line?.trim() {
            "caption" => {
                networks.captions(&pictures)?;
                started.elapsed().as_secs_f64().to_string()
            }
            "perceive" => {
                networks.statistics(&pictures, &known)?;
                started.elapsed().as_secs_f64().to_string()
            }
            "check" => {
                let captions: Vec<&str> = made.iter().map(|(caption, _)| caption.as_str()).collect();
                json!({ "captions": captions, "statistics": networks.statistics(&pictures, &known)? })
                    .to_string()
            }
            other => return Err(format!("`{other}` is none of `caption`, `perceive`, `check`").into()),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

struct Networks {
    blip: Blip,
    clip: ClipText,
    perceiver: Perceiver,
    generate: GenerateOptions,
    triples: Vec<Triple>,
}

impl Networks {
    fn load() -> std::result::Result<Self, Box<dyn Error>> {
        let folder = builtin("tiny").ok_or("there is no `builtin:tiny`")?;
        let (cpu, dtype) = (Device::Cpu, DType::F32);
        let triple = |[subject, verb, object]: [&str; 3]| Triple {
            subject: subject.into(),
            verb: verb.into(),
            object: object.into(),
        };
        Ok(Self {
            blip: Blip::load(&folder.sub("vlm"), &cpu, dtype)?,
            clip: ClipText::load(&folder.sub("tokenizer"), &folder.sub("text_encoder"), &cpu, dtype)?,
            perceiver: Perceiver::load(&folder, Options::default(), &cpu, dtype)?,
            generate: GenerateOptions {
                num_beams: 3,
                min_new_tokens: 5,
                max_new_tokens: 50,
                ..Default::default()
            },
            triples: TRIPLES.map(triple).into(),
        })
    }

    /// Caption and knowledge `[1, 154, width]` of every picture.
    fn captions(&self, pictures: &[&[u8]]) -> Result<Vec<(String, Tensor)>> {
        let one = |rgb: &&[u8]| {
            let caption = self.blip.caption(rgb, self.blip.image_size(), &self.generate)?;
            let knowledge = self.clip.knowledge(&caption, &self.triples, KnowledgeOptions::default())?;
            Ok((caption, knowledge.unsqueeze(0)?))
        };
        pictures.par_iter().map(one).collect()
    }

    /// The statistics of every picture.
    fn statistics(&self, pictures: &[&[u8]], known: &[&Tensor]) -> Result<Vec<Vec<f32>>> {
        let one = |(rgb, known): (&&[u8], &&Tensor)| {
            let picture = InputNorm::default().apply(&self.picture(rgb)?)?;
            Ok(self.perceiver.statistics(&picture, known)?.0.to_vec1::<f32>()?)
        };
        pictures.par_iter().zip(known).map(one).collect()
    }

    /// `[1, 3, side, side]` in 0..1.
    fn picture(&self, rgb: &[u8]) -> Result<Tensor> {
        let side = self.blip.image_size();
        let channel = |c: usize| rgb.iter().skip(c).step_by(3).map(|value| f32::from(*value) / 255.0);
        let values: Vec<f32> = (0..3).flat_map(channel).collect();
        Ok(Tensor::from_vec(values, (1, 3, side, side), &Device::Cpu)?)
    }
}
