//! Networks on candle: CLIP, BLIP, the Stable Diffusion VAE and UNet, and the KCDP heads

mod activation;
pub mod blip;
pub mod clip;
mod dense;
pub mod error;
mod fused_attention;
pub mod model_folder;
mod small_ops;
pub mod weights;

pub use error::{Error, Result};
pub use model_folder::ModelFolder;
pub use weights::Weights;
