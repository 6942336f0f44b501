//! Stable Diffusion as a perceiver: the encoder half of its VAE and the UNet, read where KADAP taps them
//! (docs/method.md §3)
//!
//! Everything here is frozen: operations are fused and carry no gradients. Weight names are diffusers'

mod conv;
mod group_norm;
mod perceiver;
mod resnet;
mod softmax;
pub mod unet;
pub mod vae;

pub use perceiver::{InputNorm, Options, Perceiver};
