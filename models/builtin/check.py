#!/usr/bin/env python3
"""Do the shipped parts load as published ones do, and how long does one picture take on one thread?

    python models/builtin/check.py [DIR]
"""

import sys
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import BertTokenizer, BlipForConditionalGeneration, CLIPTextModel, CLIPTokenizer


def timed(name, work, repeats=5):
    work()
    start = time.process_time()
    for _ in range(repeats):
        result = work()
    print(f"{name}: {(time.process_time() - start) / repeats * 1000:.1f} ms")
    return result


@torch.no_grad()
def main(folder):
    torch.set_num_threads(1)
    full = dict(torch_dtype=torch.float32)
    blip = BlipForConditionalGeneration.from_pretrained(folder / "vlm", **full).eval()
    words = BertTokenizer.from_pretrained(folder / "vlm")
    vae = AutoencoderKL.from_pretrained(folder / "vae", **full).eval()
    text = CLIPTextModel.from_pretrained(folder / "text_encoder", **full).eval()
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", **full).eval()
    DDPMScheduler.from_pretrained(folder / "scheduler")
    picture = torch.randn(1, 3, 128, 128)
    said = timed("caption, 3 beams", lambda: blip.generate(pixel_values=picture, num_beams=3, max_length=36))
    print(words.decode(said[0], skip_special_tokens=True))
    ids = tokenizer(["A disgust photo of"], padding="max_length", max_length=77, return_tensors="pt").input_ids
    states = timed("text states", lambda: text(input_ids=ids).last_hidden_state)
    latent = timed("latent", lambda: vae.encode(picture).latent_dist.mode())
    context = torch.cat([states, states], 1)
    out = timed("denoiser", lambda: unet(latent * vae.config.scaling_factor, 1, encoder_hidden_states=context).sample)
    assert out.shape == (1, 4, 16, 16) and bool(torch.isfinite(out).all())
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{size / 1e6:.2f} MB in all")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent / "tiny")
