//! Which models does the program carry? The files of `models/builtin/`, in the layout of a folder on disk
//!
//! Only what is read at run time is embedded; sizes, training and figures stand in the model card beside the files

use crate::model_folder::{EmbeddedFiles, ModelFolder};

/// The names after `builtin:`
pub const NAMES: &[&str] = &["tiny"];

/// The model of that name: `vlm/`, `tokenizer/`, `text_encoder/`, `vae/` and `unet/`
pub fn builtin(name: &str) -> Option<ModelFolder> {
    let files = match name {
        "tiny" => TINY,
        _ => return None,
    };
    Some(ModelFolder::embedded(format!("builtin:{name}"), files))
}

macro_rules! files {
    ($folder:literal: $($file:literal),* $(,)?) => {
        &[$(($file, include_bytes!(concat!("../builtin/", $folder, "/", $file)))),*]
    };
}

const TINY: EmbeddedFiles = files!["tiny":
    "vlm/config.json",
    "vlm/preprocessor_config.json",
    "vlm/tokenizer.json",
    "vlm/model.safetensors",
    "tokenizer/tokenizer.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_files() {
        for name in NAMES {
            let folder = builtin(name).expect(name);
            for part in ["vlm", "text_encoder", "vae", "unet"] {
                assert!(folder.has(&format!("{part}/config.json")), "{name} lacks {part}");
            }
        }
        assert!(builtin("huge").is_none());
    }
}
