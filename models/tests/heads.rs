//! The pooled pyramid, CLIEA, the mixture of experts, AdamW and the losses against torch (`tests/golden/diffusion.py`)

use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;

use affectflow_models::cliea::{self, Cliea};
use affectflow_models::fpn::PooledFpn;
use affectflow_models::losses::{self, Average, Parts, Weights};
use affectflow_models::moe::{self, Balance, Moe};
use affectflow_models::optim::{self, AdamW, Group};
use affectflow_models::parameters::{Init, Parameters};
use affectflow_models::statistics::{self, Layout};
use candle_core::{DType, Device, Tensor, Var};

type Outcome = Result<(), Box<dyn Error>>;

struct Golden {
    bytes: Vec<u8>,
    tensors: HashMap<String, Tensor>,
}

fn golden() -> Result<Golden, Box<dyn Error>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/diffusion/heads.safetensors");
    let bytes = std::fs::read(path)?;
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)?;
    Ok(Golden { bytes, tensors })
}

impl Golden {
    fn tensor(&self, name: impl AsRef<str>) -> Result<&Tensor, String> {
        let name = name.as_ref();
        self.tensors.get(name).ok_or_else(|| format!("the golden file has no `{name}`"))
    }

    fn parameters(&self) -> candle_core::Result<Parameters> {
        Parameters::from_safetensors(&self.bytes, &Device::Cpu)
    }

    /// Every gradient of `loss`, against `<tag>.grad.<name>` for a weight `<tag>.<name>`
    fn check_gradients(&self, tag: &str, parameters: &Parameters, loss: &Tensor) -> Outcome {
        let grads = loss.backward()?;
        for (name, var) in parameters.vars() {
            let short = name.strip_prefix(&format!("{tag}.")).ok_or("a weight of another head")?;
            let grad = grads.get(var).ok_or_else(|| format!("no gradient reaches `{name}`"))?;
            check(name, grad, self.tensor(format!("{tag}.grad.{short}"))?)?;
        }
        Ok(())
    }
}

fn relative_error(got: &Tensor, expected: &Tensor) -> candle_core::Result<f32> {
    let norm = |x: &Tensor| x.sqr()?.sum_all()?.to_scalar::<f32>();
    Ok((norm(&(got - expected)?)? / norm(expected)?).sqrt())
}

fn check(what: &str, got: &Tensor, expected: &Tensor) -> Outcome {
    assert_eq!(got.dims(), expected.dims(), "{what}");
    let error = relative_error(got, expected)?;
    assert!(error <= 1e-4, "{what}: relative error {error:e}");
    Ok(())
}

fn random(dims: &[usize], seed: u64) -> candle_core::Result<Tensor> {
    let mut parameters = Parameters::seeded(seed, &Device::Cpu);
    Ok(parameters.scope("random").get("x", dims, Init::Uniform(1.0))?.detach())
}

#[test]
fn pooled_pyramid_is_torchvisions() -> Outcome {
    let golden = golden()?;
    for tag in ["fpn", "uneven"] {
        let maps: Vec<&Tensor> =
            (0..).map_while(|level| golden.tensors.get(&format!("{tag}.map.{level}"))).collect();
        let rows = (0..maps[0].dim(0)?).map(|row| {
            let maps = maps.iter().map(|map| map.get(row)).collect::<candle_core::Result<Vec<_>>>()?;
            Ok((statistics::features(&maps)?, Layout::of_maps(&maps)?))
        });
        let (rows, layouts): (Vec<_>, Vec<_>) =
            rows.collect::<candle_core::Result<Vec<_>>>()?.into_iter().unzip();
        let mut parameters = golden.parameters()?;
        let width = golden.tensor(format!("{tag}.layer_blocks.0.0.bias"))?.dim(0)?;
        let fpn = PooledFpn::new(&layouts[0], width, parameters.scope(tag), &Device::Cpu)?;
        let v = fpn.forward(&Tensor::stack(&rows, 0)?)?;
        check(tag, &v, golden.tensor(format!("{tag}.v"))?)?;
        let loss = (v * golden.tensor(format!("{tag}.r"))?)?.sum_all()?;
        golden.check_gradients(tag, &parameters, &loss)?;
    }
    Ok(())
}

/// The identity at KCDP's channel counts, against convolutions of the whole maps
#[test]
fn pooled_pyramid_at_full_width() -> Outcome {
    let shapes = [[320, 16, 24], [794, 8, 12], [1434, 4, 6], [1280, 2, 3]];
    let maps = shapes.iter().zip(0..).map(|(shape, seed)| random(shape, seed));
    let maps = maps.collect::<candle_core::Result<Vec<_>>>()?;
    let layout = Layout::of_maps(&maps)?;
    let mut parameters = Parameters::seeded(3, &Device::Cpu);
    let fpn = PooledFpn::new(&layout, 256, parameters.scope(""), &Device::Cpu)?;
    let got = fpn.forward(&statistics::features(&maps)?.unsqueeze(0)?)?;

    let weights: HashMap<&str, &Var> = parameters.vars().collect();
    let mut above: Option<Tensor> = None;
    let mut pooled = Vec::new();
    for (level, map) in maps.iter().enumerate().rev() {
        let (_, height, width) = map.dims3()?;
        let lateral = map.unsqueeze(0)?.conv2d(
            weights[format!("inner_blocks.{level}.0.weight").as_str()],
            0,
            1,
            1,
            1,
        )?;
        let merged = match above {
            Some(above) => (lateral + above.upsample_nearest2d(height, width)?)?,
            None => lateral,
        };
        let out = merged.conv2d(weights[format!("layer_blocks.{level}.0.weight").as_str()], 1, 1, 1, 1)?;
        pooled.insert(0, out.mean((2, 3))?);
        above = Some(merged);
    }
    let error = relative_error(&got, &Tensor::cat(&pooled, 1)?)?;
    assert!(error <= 1e-5, "relative error {error:e}");
    Ok(())
}

fn alignment(golden: &Golden, tag: &str, heads: usize) -> Result<(Cliea, Parameters), Box<dyn Error>> {
    let (width, visual) = golden.tensor(format!("{tag}.mapping.weight"))?.dims2()?;
    let config = cliea::Config { width, heads, visual, temperature: 0.07 };
    let mut parameters = golden.parameters()?;
    Ok((Cliea::new(config, parameters.scope(tag))?, parameters))
}

#[test]
fn alignment_is_torchs_multihead_attention() -> Outcome {
    let golden = golden()?;
    for (tag, heads) in [("cliea", 4), ("sharp", 2)] {
        let (cliea, parameters) = alignment(&golden, tag, heads)?;
        let tensor = |name: &str| golden.tensor(format!("{tag}.{name}"));
        let v = Var::from_tensor(tensor("v")?)?;
        let scenes = cliea.scenes(tensor("labels")?, tensor("k")?)?;
        check("scenes", &scenes, tensor("scenes")?)?;
        let scores = cliea.scores(tensor("labels")?, tensor("k")?, &v)?;
        check("scores", &scores, tensor("scores")?)?;
        let (rows, classes) = scores.dims2()?;
        let targets: Vec<u32> = (0..rows).map(|row| (row % classes) as u32).collect();
        let targets = Tensor::new(targets, &Device::Cpu)?;
        let loss = losses::cross_entropy(&scores, &targets, None, Average::Kept)?;
        check("loss", &loss, tensor("loss")?)?;
        golden.check_gradients(tag, &parameters, &loss)?;
        let grads = loss.backward()?;
        check("gradient of v", grads.get(&v).ok_or("no gradient reaches v")?, tensor("grad.v")?)?;
    }
    Ok(())
}

/// The shared computation against attention over `[E_c; k]` written out, at CLIP's sizes
#[test]
fn alignment_shortcut_at_full_size() -> Outcome {
    let mut parameters = Parameters::seeded(5, &Device::Cpu);
    let cliea = Cliea::new(cliea::Config::default(), parameters.scope(""))?;
    assert_eq!(parameters.count(), 3_149_568);
    let (labels, k) = ((random(&[6, 7, 768], 1)? * 3.0)?, (random(&[2, 154, 768], 2)? * 3.0)?);
    let got = cliea.scenes(&labels, &k)?;
    let weights: HashMap<&str, &Var> = parameters.vars().collect();
    for row in 0..2 {
        for class in 0..6 {
            let x = Tensor::cat(&[labels.get(class)?, k.get(row)?], 0)?;
            let scene = naive_scene(&x, &weights)?;
            let error = relative_error(&got.get(row)?.get(class)?, &scene)?;
            assert!(error <= 1e-5, "row {row}, class {class}: relative error {error:e}");
        }
    }
    Ok(())
}

fn naive_scene(x: &Tensor, weights: &HashMap<&str, &Var>) -> candle_core::Result<Tensor> {
    let (tokens, width) = x.dims2()?;
    let linear =
        |x: &Tensor, weight: &str, bias: &str| x.matmul(&weights[weight].t()?)?.broadcast_add(weights[bias]);
    let qkv = linear(x, "in_proj_weight", "in_proj_bias")?;
    let heads = |index: usize| {
        qkv.narrow(1, index * width, width)?.reshape((tokens, 8, width / 8))?.transpose(0, 1)?.contiguous()
    };
    let (query, key, value) = (heads(0)?, heads(1)?, heads(2)?);
    let scores = (query.matmul(&key.t()?)? / ((width / 8) as f64).sqrt())?;
    let attended = candle_nn::ops::softmax(&scores, 2)?.matmul(&value)?;
    let attended = attended.transpose(0, 1)?.reshape((tokens, width))?;
    linear(&attended, "out_proj.weight", "out_proj.bias")?.mean(0)
}

#[test]
fn mixture_of_experts_losses_and_gradients() -> Outcome {
    mixture("moe", moe::Config { visual: 10, text: 5, hidden: 12, ..Default::default() })?;
    mixture("three", moe::Config { visual: 7, text: 4, experts: 5, top: 3, hidden: 6, classes: 3 })
}

fn mixture(tag: &str, config: moe::Config) -> Outcome {
    let golden = golden()?;
    let tensor = |name: &str| golden.tensor(format!("{tag}.{name}"));
    let classes = config.classes as u32;
    let mut parameters = golden.parameters()?;
    let moe = Moe::new(config, parameters.scope(tag))?;
    let decision = moe.forward(tensor("v")?, Some(tensor("text")?))?;
    check("logits", &decision.logits, tensor("logits")?)?;
    let (switch, spread) = (decision.balance(Balance::Switch)?, decision.balance(Balance::RankStd)?);
    check("switch", &switch, tensor("switch")?)?;
    check("rank std", &spread, tensor("spread")?)?;

    let targets: Vec<u32> = (0..tensor("v")?.dim(0)? as u32).map(|row| row % classes).collect();
    let targets = Tensor::new(targets, &Device::Cpu)?;
    let entropy = |mask, average| losses::cross_entropy(&decision.logits, &targets, mask, average);
    let mask = Some(tensor("mask")?);
    let (all, kept) = (entropy(None, Average::Kept)?, entropy(mask, Average::Kept)?);
    check("cross entropy", &all, tensor("ce")?)?;
    check("cross entropy of kept rows", &kept, tensor("ce_kept")?)?;
    check("cross entropy over the batch", &entropy(mask, Average::Batch)?, tensor("ce_batch")?)?;

    let aligned = (&decision.logits / 0.5)?;
    let parts = Parts {
        supervised: Some(all),
        ccl: Some(losses::cross_entropy(&aligned, &targets, None, Average::Kept)?),
        target: Some(kept),
        balance: vec![switch, (spread * 10.0)?],
    };
    let total = parts.total(&Weights { supervised: 2.0, ccl: 0.3, target: 0.7, balance: 0.01 })?;
    check("total", &total, tensor("total")?)?;
    golden.check_gradients(tag, &parameters, &total)?;
    assert!(moe.forward(tensor("v")?, None).is_err());
    Ok(())
}

#[test]
fn mixture_of_kcdp_has_its_parameters() -> Outcome {
    let mut parameters = Parameters::seeded(0, &Device::Cpu);
    let moe = Moe::new(moe::Config::default(), parameters.scope("moe"))?;
    assert_eq!(parameters.count(), 531_996);
    let decision = moe.forward(&random(&[5, 1024], 1)?, None)?;
    assert_eq!(decision.logits.dims(), [5, 6]);
    assert_eq!(decision.picked.sum(1)?.to_vec1::<f32>()?, [2.0; 5]);
    Ok(())
}

#[test]
fn token_mean_is_the_mean_over_the_width() -> Outcome {
    let k = Tensor::arange(0f32, 24.0, &Device::Cpu)?.reshape((2, 4, 3))?;
    let text = moe::token_mean(&k, 2, 2)?;
    assert_eq!(text.to_vec2::<f32>()?, [[7.0, 10.0], [19.0, 22.0]]);
    Ok(())
}

#[test]
fn adamw_steps_as_torch_does() -> Outcome {
    let constant = optim::Schedule::Constant;
    let first = optim::Config {
        lr: 0.05,
        beta1: 0.8,
        beta2: 0.95,
        eps: 1e-6,
        weight_decay: 0.3,
        clip: Some(3.0),
        schedule: constant,
    };
    adamw("adamw", (7, 5), first)?;
    let usual = optim::Config {
        lr: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 1e-2,
        clip: Some(0.5),
        ..first
    };
    adamw("default", (4, 9), usual)
}

fn adamw(tag: &str, shape: (usize, usize), config: optim::Config) -> Outcome {
    let golden = golden()?;
    let mut parameters = golden.parameters()?;
    let start = format!("{tag}.start");
    let mut scope = parameters.scope(&start);
    let (weight, bias) = (scope.get("weight", shape, Init::Zeros)?, scope.get("bias", shape.0, Init::Zeros)?);
    let mut optimiser = AdamW::new([&parameters], config, Group::no_decay_on_bias_and_norm)?;
    for step in 1..=3 {
        let grad = |name: &str| golden.tensor(format!("{tag}.grad.{step}.{name}"));
        let loss = ((&weight * grad("weight")?)?.sum_all()? + (&bias * grad("bias")?)?.sum_all()?)?;
        let norm = optimiser.backward_step(&loss)?;
        let expected = golden.tensor(format!("{tag}.norm.{step}"))?.to_scalar::<f32>()? as f64;
        assert!((norm - expected).abs() < 1e-4 * expected, "norm {norm}, torch says {expected}");
        for (name, tensor) in [("weight", &weight), ("bias", &bias)] {
            check(
                &format!("{name} after step {step}"),
                tensor,
                golden.tensor(format!("{tag}.{step}.{name}"))?,
            )?;
        }
    }
    Ok(())
}

#[test]
fn a_gradient_that_is_not_finite_changes_nothing() -> Outcome {
    let mut parameters = Parameters::seeded(0, &Device::Cpu);
    let weight = parameters.scope("head").get("weight", 4, Init::Uniform(1.0))?;
    let before = parameters.to_safetensors()?;
    let mut optimiser = AdamW::new([&parameters], optim::Config::default(), Group::uniform)?;
    let loss = (&weight * f64::NAN)?.sum_all()?;
    let message = optimiser.backward_step(&loss).unwrap_err().to_string();
    assert!(message.contains("not finite"), "{message}");
    assert_eq!(parameters.to_safetensors()?, before);
    Ok(())
}

/// Two trainings from one seed end in the same bytes, and lower the loss
#[test]
fn training_is_reproducible_and_learns() -> Outcome {
    let train = || -> Result<(Vec<u8>, f32, f32), Box<dyn Error>> {
        let mut parameters = Parameters::seeded(9, &Device::Cpu);
        let config = moe::Config { visual: 16, ..Default::default() };
        let moe = Moe::new(config, parameters.scope("moe"))?;
        let settings = optim::Config {
            lr: 1e-2,
            clip: Some(5.0),
            schedule: optim::Schedule::Cosine { total: 60 },
            ..Default::default()
        };
        let mut optimiser = AdamW::new([&parameters], settings, Group::uniform)?;
        let v = random(&[24, 16], 4)?;
        let targets = Tensor::new((0..24).map(|row| row % 6).collect::<Vec<u32>>(), &Device::Cpu)?;
        let mut seen = Vec::new();
        for _ in 0..60 {
            let decision = moe.forward(&v, None)?;
            let parts = Parts {
                supervised: Some(losses::cross_entropy(&decision.logits, &targets, None, Average::Kept)?),
                balance: vec![decision.balance(Balance::Switch)?],
                ..Default::default()
            };
            let loss = parts.total(&Weights::default())?;
            seen.push(loss.to_dtype(DType::F32)?.to_scalar::<f32>()?);
            optimiser.backward_step(&loss)?;
        }
        Ok((parameters.to_safetensors()?, seen[0], seen[59]))
    };
    let (first, second) = (train()?, train()?);
    assert!(first == second, "two trainings differ");
    assert!(first.2 < 0.2 * first.1, "loss {} to {}", first.1, first.2);
    Ok(())
}
