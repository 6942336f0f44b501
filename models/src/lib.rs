//! Networks on candle: CLIP, BLIP, the Stable Diffusion VAE and UNet, and the KCDP heads

mod activation;
pub mod blip;
pub mod builtin;
pub mod clip;
mod dense;
pub mod error;
mod fused_attention;
pub mod model_folder;
pub mod weights;

pub use candle_core::{DType, Device, Tensor};
pub use error::{Error, Result};
pub use model_folder::ModelFolder;
pub use weights::Weights;
