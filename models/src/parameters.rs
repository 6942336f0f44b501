//! Which trainable weights does a head own, and how do they start?
//!
//! candle's own initialisers draw from a process-wide generator that cannot be seeded on the CPU, so every value here
//! comes from a BLAKE3 stream keyed by the seed and the weight's name: a weight starts the same whatever else is
//! created, in any order, on any device.

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Result, Shape, Tensor, Var, bail};
use safetensors::tensor::{Dtype, TensorView};

/// How a weight starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All zeros.
    Zeros,
    /// Uniform in `[-bound, bound)`.
    Uniform(f64),
}

impl Init {
    /// Kaiming-uniform for a rectifier of negative slope `a` (torch's `kaiming_uniform_`).
    pub fn kaiming_uniform(fan_in: usize, a: f64) -> Self {
        Self::Uniform((6.0 / ((1.0 + a * a) * fan_in as f64)).sqrt())
    }

    /// Xavier-uniform (torch's `xavier_uniform_`).
    pub fn xavier_uniform(fan_in: usize, fan_out: usize) -> Self {
        Self::Uniform((6.0 / (fan_in + fan_out) as f64).sqrt())
    }

    /// What torch's `Linear` uses for its weight and its bias.
    pub fn linear(fan_in: usize) -> Self {
        Self::Uniform(1.0 / (fan_in as f64).sqrt())
    }
}

/// Named trainable weights in float32, kept and saved in name order.
#[derive(Debug, Clone)]
pub struct Parameters {
    device: Device,
    seed: Option<u64>,
    stored: HashMap<String, Tensor>,
    vars: BTreeMap<String, Var>,
}

impl Parameters {
    /// Weights that start from `seed`.
    pub fn seeded(seed: u64, device: &Device) -> Self {
        Self { device: device.clone(), seed: Some(seed), stored: HashMap::new(), vars: BTreeMap::new() }
    }

    /// Weights read from the bytes of a safetensors file; one that is missing there is an error.
    pub fn from_safetensors(bytes: &[u8], device: &Device) -> Result<Self> {
        let stored = candle_core::safetensors::load_buffer(bytes, device)?;
        Ok(Self { device: device.clone(), seed: None, stored, vars: BTreeMap::new() })
    }

    /// Lets weights found in `bytes` (a safetensors file) start from there instead of from the seed.
    pub fn warm_start(mut self, bytes: &[u8]) -> Result<Self> {
        self.stored.extend(candle_core::safetensors::load_buffer(bytes, &self.device)?);
        Ok(self)
    }

    /// The weights under `prefix`.
    pub fn scope(&mut self, prefix: &str) -> Scope<'_> {
        Scope { parameters: self, prefix: prefix.to_owned() }
    }

    /// All weights, in name order.
    pub fn vars(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.vars.iter().map(|(name, var)| (name.as_str(), var))
    }

    /// The number of trained values.
    pub fn count(&self) -> usize {
        self.vars.values().map(|var| var.elem_count()).sum()
    }

    /// Where the weights live.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The weights as a safetensors file, in name order: equal weights give equal bytes.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let values = self.vars.iter().map(|(name, var)| Ok((name, var.dims(), little_endian(var)?)));
        let values = values.collect::<Result<Vec<_>>>()?;
        let views = values.iter().map(|(name, dims, bytes)| {
            Ok((name, TensorView::new(Dtype::F32, dims.to_vec(), bytes).map_err(candle_core::Error::wrap)?))
        });
        let views = views.collect::<Result<Vec<_>>>()?;
        safetensors::serialize(views, None).map_err(candle_core::Error::wrap)
    }

    fn get(&mut self, name: String, shape: Shape, init: Init) -> Result<Tensor> {
        if self.vars.contains_key(&name) {
            bail!("the weight `{name}` is created twice; give each head its own prefix")
        }
        let value = match (self.stored.remove(&name), self.seed) {
            (Some(stored), _) if *stored.shape() != shape => bail!(
                "the weight `{name}` has shape {:?}, the configuration needs {:?}",
                stored.dims(),
                shape.dims()
            ),
            (Some(stored), _) => stored.to_dtype(DType::F32)?,
            (None, Some(seed)) => initial(seed, &name, &shape, init, &self.device)?,
            (None, None) => bail!("the weight `{name}` is not in the file"),
        };
        let var = Var::from_tensor(&value)?;
        let tensor = var.as_tensor().clone();
        self.vars.insert(name, var);
        Ok(tensor)
    }
}

/// A prefix inside [`Parameters`]; heads create their weights through it.
#[derive(Debug)]
pub struct Scope<'a> {
    parameters: &'a mut Parameters,
    prefix: String,
}

impl Scope<'_> {
    /// The scope below, named `name`.
    pub fn sub(&mut self, name: impl std::fmt::Display) -> Scope<'_> {
        let prefix = self.path(name);
        Scope { parameters: self.parameters, prefix }
    }

    /// The weight `name`: stored if it was loaded, else started by `init`.
    pub fn get(&mut self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Tensor> {
        let name = self.path(name);
        self.parameters.get(name, shape.into(), init)
    }

    fn path(&self, name: impl std::fmt::Display) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }
}

fn little_endian(tensor: &Tensor) -> Result<Vec<u8>> {
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

fn initial(seed: u64, name: &str, shape: &Shape, init: Init, device: &Device) -> Result<Tensor> {
    match init {
        Init::Zeros => Tensor::zeros(shape, DType::F32, device),
        Init::Uniform(bound) => {
            Tensor::from_vec(uniform(seed, name, shape.elem_count(), bound), shape, device)
        }
    }
}

/// `count` draws from `[-bound, bound)`, 24 bits each.
fn uniform(seed: u64, name: &str, count: usize, bound: f64) -> Vec<f32> {
    let mut hasher = blake3::Hasher::new_derive_key("affectflow initial weights v1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(name.as_bytes());
    let mut bytes = vec![0u8; 4 * count];
    hasher.finalize_xof().fill(&mut bytes);
    let unit = |word: &[u8; 4]| (u32::from_le_bytes(*word) >> 8) as f64 / (1u32 << 24) as f64;
    bytes.as_chunks::<4>().0.iter().map(|word| ((2.0 * unit(word) - 1.0) * bound) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two(names: [&str; 2]) -> Result<Vec<u8>> {
        let mut parameters = Parameters::seeded(7, &Device::Cpu);
        for name in names {
            parameters.scope("head").get(name, (3, 5), Init::Uniform(0.5))?;
        }
        parameters.to_safetensors()
    }

    #[test]
    fn order_of_creation_changes_nothing() -> Result<()> {
        assert_eq!(two(["a", "b"])?, two(["b", "a"])?);
        assert_ne!(two(["a", "b"])?, two(["a", "c"])?);
        Ok(())
    }

    #[test]
    fn uniform_has_the_moments_of_its_bound() {
        let values = uniform(1, "w", 100_000, 2.0);
        let mean = values.iter().sum::<f32>() / 1e5;
        let variance = values.iter().map(|v| v * v).sum::<f32>() / 1e5;
        assert!(mean.abs() < 0.02, "mean {mean}");
        assert!((variance - 4.0 / 3.0).abs() < 0.02, "variance {variance}");
        assert!(values.iter().all(|v| v.abs() <= 2.0));
    }

    #[test]
    fn a_saved_weight_loads_and_a_wrong_shape_is_refused() -> Result<()> {
        let bytes = two(["a", "b"])?;
        let mut loaded = Parameters::from_safetensors(&bytes, &Device::Cpu)?;
        loaded.scope("head").get("b", (3, 5), Init::Zeros)?;
        loaded.scope("head").get("a", (3, 5), Init::Zeros)?;
        assert_eq!(loaded.to_safetensors()?, bytes);
        let mut wrong = Parameters::from_safetensors(&bytes, &Device::Cpu)?;
        let message = wrong.scope("head").get("a", (5, 3), Init::Zeros).unwrap_err().to_string();
        assert!(message.contains("`head.a`"), "{message}");
        assert!(wrong.scope("head").get("z", (5, 3), Init::Zeros).is_err());
        Ok(())
    }
}
