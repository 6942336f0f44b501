//! Which levels will the networks give? Computed from their configurations alone, before anything is loaded.

use affectflow_models::diffusion::{unet, vae};
use affectflow_models::statistics::{Layout, Level};
use affectflow_pipeline::Problem;
use serde_json::{Value, json};

use crate::model::ModelPart;

/// The side pictures are resized to: the one asked for, else the one that the model was made for.
pub fn side(
    asked: Option<u32>,
    vae: &vae::Config,
    unet: &unet::Config,
    folder: &ModelPart,
) -> Result<u32, Problem> {
    let divisor = (vae.reduction() * unet.reduction()).max(64) as u32;
    let side = match asked {
        Some(side) => side,
        None => native(vae, folder)?.ok_or_else(|| {
            let problem = Problem::new("the model does not say which `resolution` it was made for")
                .option("resolution");
            problem
                .hint(format!("give one divisible by {divisor}, for example `resolution: {}`", 8 * divisor))
        })?,
    };
    if side > 0 && side.is_multiple_of(divisor) {
        return Ok(side);
    }
    let near = (side / divisor).max(1) * divisor;
    let problem = Problem::new(format!("`resolution` is {side}, which is not divisible by {divisor}"))
        .option("resolution");
    Err(problem.hint(format!("the statistics are exact only then; try {near} or {}", near + divisor)))
}

/// `sample_size` of the denoiser, in pixels of the picture.
fn native(vae: &vae::Config, folder: &ModelPart) -> Result<Option<u32>, Problem> {
    let config: Value = folder.config(|folder| folder.json("config.json"))?;
    let latent = match &config["sample_size"] {
        Value::Array(sides) => sides.first().and_then(Value::as_u64),
        side => side.as_u64(),
    };
    Ok(latent.and_then(|latent| u32::try_from(latent * vae.reduction() as u64).ok()))
}

/// The autoencoder must give what the denoiser takes.
pub fn latents_fit(vae: &vae::Config, unet: &unet::Config) -> Result<(), Problem> {
    let (given, taken) = (vae.latent_channels, unet.in_channels);
    if given == taken {
        return Ok(());
    }
    let problem = Problem::new(format!(
        "the autoencoder gives latents of {given} channels, and the denoiser takes {taken}"
    ));
    Err(problem.option("model").hint("take `vae` and `unet` from the same checkpoint"))
}

/// Channels and sides of every level, finest first; cross-attention maps of `tokens` channels where a level carries them.
pub fn levels(side: u32, vae: &vae::Config, unet: &unet::Config, tokens: usize) -> Result<Layout, Problem> {
    let latent = side as usize / vae.reduction();
    let count = unet.levels();
    let level = |(level, channels): (usize, &usize)| {
        let attends = level > 0 && level + 1 < count && (unet.down_attends(level) || unet.up_attends(level));
        let side = latent >> level;
        Level { channels: channels + if attends { tokens } else { 0 }, height: side, width: side }
    };
    let levels = unet.block_out_channels.iter().enumerate().map(level).collect();
    Layout::new(levels).map_err(|error| Problem::new(error.to_string()).option("resolution"))
}

/// The levels as metadata writes them.
pub fn json(layout: &Layout) -> String {
    let level =
        |level: &Level| json!({ "channels": level.channels, "height": level.height, "width": level.width });
    Value::from_iter(layout.levels().iter().map(level)).to_string()
}
