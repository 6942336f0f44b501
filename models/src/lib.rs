//! Networks on candle: CLIP, BLIP, the Stable Diffusion VAE and UNet, and the KCDP heads

pub mod cliea;
pub mod fpn;
mod linear;
pub mod losses;
pub mod moe;
pub mod optim;
pub mod parameters;
pub mod statistics;
