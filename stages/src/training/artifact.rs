//! How do trained weights travel? As safetensors whose header says, as JSON under [`KEY`], what they were trained for.
//!
//! Tensors lie sorted by name and the header has one key, so equal weights give equal bytes.

use std::collections::HashMap;

use affectflow_models::parameters::Parameters;
use affectflow_pipeline::{StageError, StageResult};
use bytes::Bytes;
use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::moments::{Moments, Scales};

/// The key of the header.
pub const KEY: &str = "affectflow";

/// The weights, further tensors, and what they are for.
pub fn save(
    parameters: &Parameters,
    further: &[(String, Tensor)],
    meta: &impl Serialize,
) -> StageResult<Bytes> {
    let trained = parameters.vars().map(|(name, var)| (name.to_owned(), var.as_tensor().clone()));
    let values = trained.chain(further.iter().cloned()).map(|(name, tensor)| {
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Ok((name, tensor.dims().to_vec(), bytes))
    });
    let values = values.collect::<candle_core::Result<Vec<_>>>()?;
    let views = values
        .iter()
        .map(|(name, dims, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, dims.clone(), bytes)?)));
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    let header = HashMap::from([(KEY.to_owned(), serde_json::to_string(meta)?)]);
    Ok(Bytes::from(serialize(views, Some(header))?))
}

/// What an artifact was trained for, and its tensors by name.
pub fn load<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> StageResult<(T, HashMap<String, Tensor>)> {
    let bad = |what: String| StageError::new(format!("artifact `{name}`: {what}"));
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| bad(error.to_string()))?;
    let meta = header.metadata().as_ref().and_then(|header| header.get(KEY));
    let meta = meta.ok_or_else(|| bad(format!("its header has no `{KEY}`")))?;
    let meta = serde_json::from_str(meta).map_err(|error| bad(error.to_string()))?;
    Ok((meta, candle_core::safetensors::load_buffer(bytes, &Device::Cpu)?))
}

/// One tensor of an artifact.
pub fn tensor(name: &str, tensors: &HashMap<String, Tensor>, key: &str) -> StageResult<Tensor> {
    tensors
        .get(key)
        .cloned()
        .ok_or_else(|| StageError::new(format!("artifact `{name}` has no tensor `{key}`")))
}

/// The tensors that keep the scales.
pub fn of_scales(scales: &Scales) -> StageResult<Vec<(String, Tensor)>> {
    let mut tensors = Vec::new();
    for (domain, moments) in [("source", &scales.source), ("target", &scales.target)] {
        for (name, values) in [("mean", &moments.mean), ("spread", &moments.spread)] {
            tensors.push((format!("scale.{domain}.{name}"), Tensor::new(values.as_slice(), &Device::Cpu)?));
        }
    }
    Ok(tensors)
}

/// The scales that an artifact keeps.
pub fn scales(name: &str, tensors: &HashMap<String, Tensor>) -> StageResult<Scales> {
    let values = |key: String| -> StageResult<Vec<f32>> { Ok(tensor(name, tensors, &key)?.to_vec1()?) };
    let moments = |domain: &str| -> StageResult<Moments> {
        Ok(Moments {
            mean: values(format!("scale.{domain}.mean"))?,
            spread: values(format!("scale.{domain}.spread"))?,
        })
    };
    Ok(Scales { source: moments("source")?, target: moments("target")? })
}
