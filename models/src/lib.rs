//! Networks on candle: CLIP, BLIP, the Stable Diffusion VAE and UNet, and the KCDP heads
