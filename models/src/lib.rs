//! Networks on candle: CLIP, BLIP, the Stable Diffusion VAE and UNet, and the KCDP heads

pub mod error;
pub mod model_folder;
pub mod weights;

pub use error::{Error, Result};
pub use model_folder::ModelFolder;
pub use weights::Weights;
