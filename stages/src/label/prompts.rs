//! What does the text encoder say of each class? States of its prompt, all padded to the longest (docs/method.md §4).

use affectflow_models::clip::{ClipText, ClipTextConfig};
use affectflow_pipeline::{Problem, StageResult};
use candle_core::{DType, Device, Tensor};

use crate::model::{ModelPart, stage_error};
use crate::training::inputs::Shapes;

use super::Labelling;

/// Refuses an encoder whose states are not as wide as the knowledge.
pub fn fits(encoder: &ModelPart, shapes: &Shapes) -> Result<(), Problem> {
    let width = encoder.config(ClipTextConfig::load)?.hidden_size;
    match width == shapes.width {
        true => Ok(()),
        false => Err(Problem::new(format!(
            "the text encoder's states are {width} wide, and those in `knowledge` are {}",
            shapes.width
        ))
        .option("model")
        .hint("give `label` the same `model` as `embed`")),
    }
}

/// States `[classes, tokens, width]` of the label prompts.
pub fn states(stage: &Labelling) -> StageResult<Tensor> {
    let clip = ClipText::load(&stage.tokenizer.folder, &stage.encoder.folder, &Device::Cpu, DType::F32);
    let clip = clip.map_err(stage_error)?;
    let prompt = |class: &String| stage.meta.template.replace("{emotion}", class);
    let prompts: Vec<String> = stage.meta.classes.iter().map(prompt).collect();
    let ids = clip.tokenizer().encode_to_longest(&prompts).map_err(stage_error)?;
    let tokens = ids.first().map_or(0, Vec::len);
    let ids = Tensor::from_vec(ids.concat(), (prompts.len(), tokens), &Device::Cpu)?;
    Ok(clip.model().forward(&ids).map_err(stage_error)?.hidden.detach())
}
