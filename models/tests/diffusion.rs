//! The VAE, the UNet's taps and their statistics against diffusers (`tests/golden/diffusion.py`)

use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;

use affectflow_models::ModelFolder;
use affectflow_models::diffusion::unet::{self, Unet};
use affectflow_models::diffusion::vae::{self, VaeEncoder};
use affectflow_models::diffusion::{InputNorm, Options, Perceiver};
use affectflow_models::statistics;
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

type Outcome = Result<(), Box<dyn Error>>;

struct Golden {
    folder: ModelFolder,
    tensors: HashMap<String, Tensor>,
    timestep: f64,
}

fn golden(name: &str) -> Result<Golden, Box<dyn Error>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/diffusion").join(name);
    let tensors = candle_core::safetensors::load(root.join("expected.safetensors"), &Device::Cpu)?;
    let tensors = tensors.into_iter().map(|(name, tensor)| Ok((name, tensor.to_dtype(DType::F32)?)));
    let folder = ModelFolder::disk(root)?;
    let settings: serde_json::Value = folder.json("expected.json")?;
    let timestep = settings["timestep"].as_f64().ok_or("no timestep")?;
    Ok(Golden { folder, tensors: tensors.collect::<candle_core::Result<_>>()?, timestep })
}

impl Golden {
    fn tensor(&self, name: &str) -> Result<&Tensor, String> {
        self.tensors.get(name).ok_or_else(|| format!("the golden file has no `{name}`"))
    }

    fn perceiver(&self, scale_latent: bool) -> Result<Perceiver, Box<dyn Error>> {
        let options = Options { timestep: self.timestep, scale_latent };
        Ok(Perceiver::load(&self.folder, options, &Device::Cpu, DType::F32)?)
    }
}

fn check(what: &str, got: &Tensor, expected: &Tensor) -> Outcome {
    assert_eq!(got.dims(), expected.dims(), "{what}");
    let norm = |x: &Tensor| x.sqr()?.sum_all()?.to_scalar::<f32>();
    let error = (norm(&(got - expected)?)? / norm(expected)?).sqrt();
    assert!(error <= 1e-4, "{what}: relative error {error:e}");
    Ok(())
}

const CHECKPOINTS: [&str; 2] = ["sd15", "sd21"];

#[test]
fn vae_mode() -> Outcome {
    for name in CHECKPOINTS {
        let golden = golden(name)?;
        let folder = golden.folder.sub("vae");
        let config: vae::Config = folder.json("config.json")?;
        let vae = VaeEncoder::new(&config, &folder.weights(&Device::Cpu, DType::F32)?)?;
        check(name, &vae.mode(golden.tensor("picture")?)?, golden.tensor("latent")?)?;
    }
    Ok(())
}

#[test]
fn taps_and_attention_maps() -> Outcome {
    for name in CHECKPOINTS {
        let golden = golden(name)?;
        let folder = golden.folder.sub("unet");
        let config: unet::Config = folder.json("config.json")?;
        let unet = Unet::new(&config, &folder.weights(&Device::Cpu, DType::F32)?, golden.timestep)?;
        let vae: vae::Config = golden.folder.sub("vae").json("config.json")?;
        let latent = (golden.tensor("latent")? * vae.scaling_factor)?;
        let taps = unet.taps(&latent, golden.tensor("context")?)?;
        assert_eq!(taps.len(), 4);
        for (level, tap) in taps.iter().enumerate() {
            let what = format!("{name} level {level}");
            check(&what, &tap.features, golden.tensor(&format!("features.{level}"))?)?;
            let expected = golden.tensors.get(&format!("attention.{level}"));
            assert_eq!(tap.attention.is_some(), expected.is_some(), "{what}");
            assert_eq!(expected.is_some(), level == 1 || level == 2, "{what}");
            if let (Some(got), Some(expected)) = (&tap.attention, expected) {
                check(&what, got, expected)?;
                let off = (got.sum(0)? - 1.0)?.abs()?.max_all()?.to_scalar::<f32>()?;
                assert!(off < 1e-5, "{what}: attention sums to 1 within {off:e}");
            }
        }
    }
    Ok(())
}

#[test]
fn perceiver_features_and_statistics() -> Outcome {
    for name in CHECKPOINTS {
        let golden = golden(name)?;
        let (picture, context) = (golden.tensor("picture")?, golden.tensor("context")?);
        let perceiver = golden.perceiver(true)?;
        let maps = perceiver.features(picture, context)?;
        let tokens = context.dim(1)?;
        for (level, map) in maps.iter().enumerate() {
            let features = golden.tensor(&format!("features.{level}"))?;
            let attention = golden.tensors.get(&format!("attention.{level}"));
            let channels = features.dim(0)? + if attention.is_some() { tokens } else { 0 };
            assert_eq!(map.dim(0)?, channels);
            check(name, &map.narrow(0, 0, features.dim(0)?)?, features)?;
        }
        let (vector, layout) = perceiver.statistics(picture, context)?;
        assert_eq!(layout, statistics::Layout::of_maps(&maps)?);
        assert_eq!(vector.to_vec1::<f32>()?, statistics::features(&maps)?.to_vec1::<f32>()?);
        let again = perceiver.statistics_of_latent(&perceiver.latent(picture)?, context)?.0;
        assert_eq!(vector.to_vec1::<f32>()?, again.to_vec1::<f32>()?);
    }
    Ok(())
}

/// A picture's statistics are the same bits alone, beside others, and on any number of threads
#[test]
fn neighbours_and_threads_change_nothing() -> Outcome {
    let golden = golden("sd15")?;
    let perceiver = golden.perceiver(true)?;
    let (picture, context) = (golden.tensor("picture")?, golden.tensor("context")?);
    let bits = |_: usize| -> Result<Vec<u32>, String> {
        let (vector, _) = perceiver.statistics(picture, context).map_err(|e| e.to_string())?;
        let values = vector.to_vec1::<f32>().map_err(|e| e.to_string())?;
        Ok(values.into_iter().map(f32::to_bits).collect())
    };
    let alone = bits(0)?;
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let all = pool.install(|| (0..6).into_par_iter().map(bits).collect::<Result<Vec<_>, _>>())?;
        assert!(all.iter().all(|other| *other == alone), "differs on {threads} threads");
    }
    Ok(())
}

#[test]
fn latent_scale_is_the_checkpoints_or_one() -> Outcome {
    for (name, scale) in [("sd15", 0.18215), ("sd21", 0.25)] {
        let golden = golden(name)?;
        let picture = golden.tensor("picture")?;
        let plain = golden.perceiver(false)?.latent(picture)?;
        check(name, &plain, golden.tensor("latent")?)?;
        check(name, &golden.perceiver(true)?.latent(picture)?, &(plain * scale)?)?;
    }
    Ok(())
}

#[test]
fn unfit_inputs_are_refused_with_a_hint() -> Outcome {
    let golden = golden("sd15")?;
    let perceiver = golden.perceiver(true)?;
    assert_eq!((perceiver.side_divisor(), perceiver.context_width()), (64, 20));
    let context = golden.tensor("context")?;
    let picture = |dims: (usize, usize, usize, usize)| Tensor::zeros(dims, DType::F32, &Device::Cpu);
    let message = perceiver.features(&picture((1, 3, 64, 72))?, context).unwrap_err().to_string();
    assert!(message.contains("64") && message.contains("hint:"), "{message}");
    assert!(perceiver.features(&picture((2, 3, 64, 64))?, context).is_err());
    assert!(perceiver.features(&picture((1, 4, 64, 64))?, context).is_err());
    let narrow = Tensor::zeros((1, 5, 19), DType::F32, &Device::Cpu)?;
    let message = perceiver.features(&picture((1, 3, 64, 64))?, &narrow).unwrap_err().to_string();
    assert!(message.contains("20") && message.contains("hint:"), "{message}");
    Ok(())
}

#[test]
fn a_tensor_of_another_shape_is_named() -> Outcome {
    let golden = golden("sd15")?;
    let folder = golden.folder.sub("unet");
    let mut config: unet::Config = folder.json("config.json")?;
    config.block_out_channels = vec![8, 16, 24, 32];
    let weights = folder.weights(&Device::Cpu, DType::F32)?;
    let message = Unet::new(&config, &weights, 1.0).unwrap_err().to_string();
    assert!(message.contains("down_blocks.3.resnets.0"), "{message}");
    Ok(())
}

#[test]
fn input_norms_reach_the_ranges_of_the_method() -> Outcome {
    let range = |norm: InputNorm| -> Result<(f32, f32), Box<dyn Error>> {
        let ends = [0f32, 1.0].map(|value| {
            let picture = Tensor::full(value, (1, 3, 2, 2), &Device::Cpu)?;
            norm.apply(&picture).map(|x| x.flatten_all())
        });
        let [low, high] = ends;
        let low = low??.to_vec1::<f32>()?.into_iter().fold(f32::INFINITY, f32::min);
        let high = high??.to_vec1::<f32>()?.into_iter().fold(f32::NEG_INFINITY, f32::max);
        Ok((low, high))
    };
    assert_eq!(range(InputNorm::MinusOneOne)?, (-1.0, 1.0));
    let (low, high) = range(InputNorm::ImagenetTwice)?;
    assert!((low + 11.37).abs() < 0.01 && (high - 9.93).abs() < 0.01, "{low} to {high}");
    Ok(())
}
