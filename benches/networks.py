#!/usr/bin/env python3
"""How many pictures a second do our networks take, and how many PyTorch's, on the same weights, pictures and threads?

    python benches/networks.py [--threads 2] [--turns 5]

with the packages of `models/builtin/requirements.txt`. Both sides take 32 pictures of `examples/` in turns, ours first:
captions and their knowledge (BLIP with 3 beams, CLIP), then statistics (VAE, UNet with its taps). Both compute in
float32; PyTorch takes all pictures as one batch. Before the first turn the results of both sides are compared.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from PIL import Image
from transformers import BertTokenizer, BlipForConditionalGeneration, CLIPTextModel, CLIPTokenizer

ROOT = Path(__file__).resolve().parents[1]
TINY = ROOT / "models/builtin/tiny"
PICTURES, SIDE, TOKENS = 32, 128, 77
PARTS = {"caption": "captions and knowledge", "perceive": "statistics"}
# What every caption is taken to state; models/examples/throughput.rs has the same.
TRIPLES = ["a person opens the mouth", "the brows are raised"]
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def pictures():
    """`[32, 128, 128, 3]` bytes: as many stickers as portraits."""
    found = [sorted((ROOT / "examples" / folder).rglob("*.png"))[: PICTURES // 2] for folder in ("photos", "stickers")]
    chosen = [path for pair in zip(*found, strict=True) for path in pair]
    assert len(chosen) == PICTURES, f"`examples/` holds too few pictures: {len(chosen)}"
    opened = [Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC) for path in chosen]
    return numpy.stack([numpy.asarray(picture) for picture in opened])


class Ours:
    """The Rust example, asked line by line."""

    def __init__(self, file, threads, profile):
        build = "cargo build --quiet -p affectflow-models --example throughput --profile"
        subprocess.run([*build.split(), profile], cwd=ROOT, check=True)
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        program = target / ("debug" if profile == "dev" else profile) / "examples/throughput"
        environment = os.environ | {"RAYON_NUM_THREADS": str(threads)}
        pipe = subprocess.PIPE
        arguments = [program, "--pictures", file]
        self.process = subprocess.Popen(arguments, stdin=pipe, stdout=pipe, text=True, env=environment)

    def ask(self, word):
        print(word, file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline() or "null")
        assert answer is not None, "the Rust example ended"
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Recorder(AttnProcessor):
    """Plain attention, keeping the probabilities of every picture averaged over heads."""

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **kwargs):
        query = attn.head_to_batch_dim(attn.to_q(hidden_states))
        key = attn.head_to_batch_dim(attn.to_k(encoder_hidden_states))
        value = attn.head_to_batch_dim(attn.to_v(encoder_hidden_states))
        probabilities = attn.get_attention_scores(query, key)
        self.map = probabilities.unflatten(0, (-1, attn.heads)).mean(1)
        out = attn.batch_to_head_dim(torch.bmm(probabilities, value))
        return attn.to_out[1](attn.to_out[0](out))


class Theirs:
    """transformers and diffusers, on a batch."""

    def __init__(self, rgb):
        self.rgb = torch.from_numpy(rgb).permute(0, 3, 1, 2).contiguous()
        part = lambda kind, name: kind.from_pretrained(TINY / name, torch_dtype=torch.float32).eval()
        self.blip, self.words = part(BlipForConditionalGeneration, "vlm"), BertTokenizer.from_pretrained(TINY / "vlm")
        self.text, self.tokens = part(CLIPTextModel, "text_encoder"), CLIPTokenizer.from_pretrained(TINY / "tokenizer")
        self.vae, self.unet = part(AutoencoderKL, "vae"), part(UNet2DConditionModel, "unet")
        self.mean, self.std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        self.tap()

    def tap(self):
        """Reads states and maps on the way up; what comes after the last tap is cut, as ours does not compute it."""
        unet, processors = self.unet, dict(self.unet.attn_processors)
        unet.conv_norm_out = unet.conv_act = unet.conv_out = torch.nn.Identity()
        self.levels, self.states, self.recorders = len(unet.up_blocks), {}, {}
        for level in range(1, self.levels - 1):
            blocks = (f"down_blocks.{level}.", f"up_blocks.{self.levels - 1 - level}.")
            names = [name for name in processors if name.startswith(blocks) and "attn2" in name]
            recorders = {name: Recorder() for name in names}
            self.recorders[level] = list(recorders.values())
            processors |= recorders
        unet.set_attn_processor(processors)
        for index, block in enumerate(unet.up_blocks):
            level = self.levels - 1 - index
            inner = block.attentions if hasattr(block, "attentions") else block.resnets
            (block if level == 0 else inner[1]).register_forward_hook(self.keep(level))

    def keep(self, level):
        def hook(_module, _inputs, output):
            self.states[level] = output if torch.is_tensor(output) else output[0]

        return hook

    @torch.no_grad()
    def caption(self):
        pixels = (self.rgb.float() / 255 - self.mean) / self.std
        said = self.blip.generate(
            pixel_values=pixels, num_beams=3, min_new_tokens=5, max_new_tokens=50, do_sample=False
        )
        captions = self.words.batch_decode(said, skip_special_tokens=True)
        # Every picture's own triples are embedded, although here they are alike.
        states, triples = self.embed(captions), self.embed(TRIPLES * len(captions))
        pooled = triples.unflatten(0, (len(captions), len(TRIPLES))).mean(1)
        return captions, torch.cat([states, pooled], 1)

    def embed(self, texts):
        padded = dict(padding="max_length", truncation=True, max_length=TOKENS)
        return self.text(input_ids=self.tokens(texts, return_tensors="pt", **padded).input_ids).last_hidden_state

    @torch.no_grad()
    def perceive(self, knowledge):
        latent = self.vae.encode(self.rgb.float() / 127.5 - 1).latent_dist.mode() * self.vae.config.scaling_factor
        self.unet(latent, 1, encoder_hidden_states=knowledge)
        parts = []
        for level in range(self.levels):
            state = self.states[level]
            if recorders := self.recorders.get(level):
                maps = torch.stack([recorder.map for recorder in recorders]).mean(0)
                maps = maps.transpose(1, 2).unflatten(2, state.shape[-2:])
                state = torch.cat([state, maps], 1)
            parts.append(nine(state).flatten(1))
        return torch.cat(parts, 1)


def nine(x):
    """Mean, border means and corners of maps `[B, C, H, W]`, `[B, 9, C]`."""
    rows, columns = (x[..., 0, :], x[..., -1, :]), (x[..., 0], x[..., -1])
    corners = [row[..., at] for row in rows for at in (0, -1)]
    return torch.stack([x.mean((2, 3)), *(line.mean(2) for line in rows + columns), *corners], 1)


def compare(ours, theirs):
    """Both sides must say the same; returns the knowledge that the second part is given."""
    said, (captions, knowledge) = ours.ask("check"), theirs.caption()
    differing = [pair for pair in zip(said["captions"], captions, strict=True) if pair[0] != pair[1]]
    assert not differing, f"{len(differing)} captions differ, the first: {differing[0]}"
    found, wanted = torch.tensor(said["statistics"]), theirs.perceive(knowledge)
    error = ((found - wanted).norm() / wanted.norm()).item()
    assert error < 1e-4, f"statistics differ by {error:.1e}"
    length = statistics.mean(len(caption.split()) for caption in captions)
    print(f"{len(captions)} pictures: captions are the same ({length:.1f} words), statistics differ by {error:.1e}")
    return knowledge


def clocked(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of either side")
    arguments.add_argument("--turns", type=int, default=5, help="measured turns of either side, after one unmeasured")
    arguments.add_argument("--profile", default="dev", help="the profile that cargo builds with; `dev` is optimised")
    given = arguments.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.NamedTemporaryFile(suffix=".rgb") as file:
        rgb = pictures()
        file.write(rgb.tobytes())
        file.flush()
        ours, theirs = Ours(file.name, given.threads, given.profile), Theirs(rgb)
        knowledge = compare(ours, theirs)
        works = {"caption": theirs.caption, "perceive": lambda: theirs.perceive(knowledge)}
        print(f"{'part':<24}{'ours, pictures/s':>18}{'PyTorch, pictures/s':>21}{'ratio':>8}")
        for part, work in works.items():
            turns = [(ours.ask(part), clocked(work)) for _ in range(given.turns + 1)][1:]
            mine, other = (PICTURES / statistics.median(side) for side in zip(*turns))
            print(f"{PARTS[part]:<24}{mine:>18.1f}{other:>21.1f}{mine / other:>8.2f}")
        ours.close()


if __name__ == "__main__":
    main()
