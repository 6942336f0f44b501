"""What does the model card say? Facts written by hand, figures taken from figures.json as measured."""

import json
from pathlib import Path

from settings import HELD_OUT_COUNT, HELD_OUT_SEED, TRAIN_COUNT, TRAIN_SEED

CARD = """---
license: mit OR apache-2.0
language: en
pipeline_tag: image-to-text
---

# `builtin:tiny`

Four small networks in the layouts of the full models (BLIP captioner, CLIP text encoder, KL autoencoder, Stable
Diffusion 1.5 UNet), for pictures of {side} by {side} pixels. They let every pipeline run offline on a processor within
minutes, through the same code as the full models. {total:.1f} million parameters, float16 safetensors, {size:.1f} MB.

| folder | class | parameters | steps | minutes |
|---|---|---|---|---|
{parts}

## Data
{count} pictures a domain (shaded portraits, flat stickers) of this repository's generator, seed {seed}; figures are on
seed {held_out_seed}, {held_out} pictures a domain. Captions and pixels only: emotion labels are never read. Captions
name visible facial movements and never an emotion. No emoji drawing and no picture from anywhere else was used.
No weights were taken from any other model.

**What the text encoder knows of the emotion words.** A text encoder trained on the web knows what surprise looks
like; captions that never name an emotion cannot teach it. `lexicon.py` therefore holds the combinations of action
units that EMFACS (Ekman and Friesen) lists for each of the six words, and a text-only loss ties prompts with the word
to sentences of those cues. This is dictionary knowledge supplied on purpose, and the generator draws its faces after
the same literature, so that zero-shot agreement between words and synthetic pictures is partly built in.

## Figures, as measured
Captions (greedy) on unseen pictures: precision, recall and F1 of the named cues, counted over all pictures.

| domain | pictures | precision | recall | F1 | all cues right | caption right in every word |
|---|---|---|---|---|---|---|
{captions}

Autoencoder, decoded from the posterior mean: {psnr}. `scaling_factor` {scaling} is one over the standard deviation of
training latents.

Text encoder, picture to caption among 100 unseen ones of one domain (with the throw-away image tower): {retrieval}.

Denoiser, mean squared error of the predicted noise on unseen latents, timesteps drawn uniformly: {denoiser}.

Training took {minutes:.0f} minutes by the clock, summed over the networks ({work:.0f} on a processor); two ran side by side,
one thread each, on two cores shared with other work.{history}

## Limits
Tiny networks for synthetic faces: captions of photographs or of other drawings are guesses in the same few phrases,
the vocabulary is that of the generator, the decoder blurs fine texture, and the denoiser is far from making pictures.
Captions of more than six cues do not occur in training. Not for use on people.

## Rebuild
`python models/builtin/train.py` with the packages of `models/builtin/requirements.txt`. MIT OR Apache-2.0.
"""


HISTORY = """
Captioner and autoencoder were trained in {runs} and {vae_runs} runs, each going on from the last (`--warm`); the first
saw 8,000 pictures a domain from an earlier state of the generator, with the same captions. Figures are of the last run, on
the generator as it is. A rebuild trains each network once, so its figures will differ somewhat."""


def weight(folder):
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file() and ".figures" not in f.parts) / 1e6


def captions_row(name, figures):
    return "| {} | {pictures} | {cue_precision:.3f} | {cue_recall:.3f} | {cue_f1:.3f} | {exact_cues:.3f} | {exact_caption:.3f} |".format(name, **figures)


def write(out):
    """README.md of the model folder"""
    out = Path(out)
    figures = json.loads((out / "figures.json").read_text())
    classes = dict(vlm=("vlm", "BlipForConditionalGeneration"), text=("text_encoder", "CLIPTextModel"),
                   vae=("vae", "AutoencoderKL"), unet=("unet", "UNet2DConditionModel"))
    known = {k: v for k, v in figures.items() if k in classes}
    domains = ("portrait", "sticker")
    vlm, vae, text, unet = (figures[k] for k in ("vlm", "vae", "text", "unet"))
    (out / "README.md").write_text(CARD.format(
        side=128, total=sum(f["parameters"] for f in known.values()) / 1e6, size=weight(out), count=TRAIN_COUNT,
        seed=TRAIN_SEED, held_out_seed=HELD_OUT_SEED, held_out=HELD_OUT_COUNT,
        parts="\n".join(f"| `{classes[k][0]}/` | `{classes[k][1]}` | {f['parameters']:,} | {f['steps']} | {f['minutes']} |"
                        for k, f in known.items()),
        captions="\n".join(captions_row(d, vlm[d]) for d in domains),
        psnr=", ".join(f"{vae[d]['psnr_db']} dB on {vae[d]['pictures']} {d}s" for d in domains),
        scaling=vae["scaling_factor"],
        retrieval=", ".join(f"{d}s first {text[d]['recall_at_1_of_100']:.0%}, among five {text[d]['recall_at_5_of_100']:.0%}"
                            for d in domains),
        denoiser=f"{unet['held_out_loss']} (untrained {unet['held_out_loss_untrained']})",
        minutes=sum(f["minutes"] for f in known.values()), work=sum(f["processor_minutes"] for f in known.values()),
        history=HISTORY.format(runs=vlm["runs"], vae_runs=vae.get("runs", 1)) if vlm.get("runs", 1) > 1 else ""))
