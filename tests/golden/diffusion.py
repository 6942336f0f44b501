"""Reference values for the VAE, the UNet taps, the pooled pyramid, CLIEA, the mixture of experts, AdamW and the losses.

Run from the repository root with the packages of `requirements.txt`:

    python tests/golden/diffusion.py

Weights are seeded and random (rounded to float16 so that they can be stored so); everything is computed in float32 by
diffusers, torchvision and torch.
"""

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from safetensors.torch import load_file, save_file
from torchvision.ops import FeaturePyramidNetwork

OUT = Path("models/tests/golden/diffusion")
OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

torch.set_num_threads(2)


def randomise(module, seed):
    """Makes every weight matter, norms and biases included, and rounds to float16."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim == 1 and "norm" in name and name.endswith("weight"):
                parameter.copy_(1 + 0.2 * noise)
            elif parameter.ndim == 1:
                parameter.copy_(0.2 * noise)
            else:
                parameter.copy_(noise * (parameter[0].numel() ** -0.5))
            parameter.copy_(parameter.half().float())
    return module.eval().requires_grad_(False)


def rewrite(folder, keep, rename=lambda name: name):
    """Stores the weights of `folder` as float16, under the names wanted, without what the port never reads."""
    path = folder / "diffusion_pytorch_model.safetensors"
    tensors = {rename(k): v.half().contiguous() for k, v in load_file(path).items() if keep(k)}
    save_file(tensors, path)


def old_attention_names(name):
    for new, old in OLD_NAMES.items():
        name = name.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
    return name


class Recorder(AttnProcessor):
    """diffusers' plain attention, keeping the probabilities averaged over heads."""

    def __init__(self):
        super().__init__()
        self.map = None

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **kwargs):
        query = attn.head_to_batch_dim(attn.to_q(hidden_states))
        key = attn.head_to_batch_dim(attn.to_k(encoder_hidden_states))
        value = attn.head_to_batch_dim(attn.to_v(encoder_hidden_states))
        probabilities = attn.get_attention_scores(query, key)
        self.map = probabilities.mean(0)
        out = attn.batch_to_head_dim(torch.bmm(probabilities, value))
        return attn.to_out[1](attn.to_out[0](out))


def taps(unet, latent, context, timestep):
    plain = unet(latent, timestep, context).sample
    states, recorders = {}, {}
    processors = {}
    for name in unet.attn_processors:
        if "attn2" in name:
            recorders[name] = processors[name] = Recorder()
        else:
            processors[name] = AttnProcessor()
    unet.set_attn_processor(processors)

    levels = len(unet.up_blocks)
    for index, block in enumerate(unet.up_blocks):
        level = levels - 1 - index
        if level == 0:
            module = block
        else:
            module = block.attentions[1] if hasattr(block, "attentions") else block.resnets[1]

        def hook(_module, _inputs, output, level=level):
            states[level] = output if torch.is_tensor(output) else output[0]

        module.register_forward_hook(hook)
    recorded = unet(latent, timestep, context).sample
    assert (plain - recorded).abs().max() < 1e-4 * plain.abs().max()

    maps = {}
    for level in range(1, levels - 1):
        blocks = (f"down_blocks.{level}.", f"up_blocks.{levels - 1 - level}.")
        found = [r.map for name, r in recorders.items() if name.startswith(blocks)]
        if found:
            height, width = states[level].shape[-2:]
            maps[level] = torch.stack(found).mean(0).T.reshape(-1, height, width)
    return {level: state[0] for level, state in states.items()}, maps


def diffusion(name, seed, unet_config, vae_config, size, tokens, timestep, old_names):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(seed)
    unet = randomise(UNet2DConditionModel(**unet_config), seed)
    vae = randomise(AutoencoderKL(**vae_config), seed + 1)
    unet.save_pretrained(folder / "unet")
    vae.save_pretrained(folder / "vae")
    rewrite(folder / "unet", lambda n: not n.startswith(("conv_norm_out", "conv_out")))
    rename = old_attention_names if old_names else lambda n: n
    rewrite(folder / "vae", lambda n: n.startswith(("encoder.", "quant_conv.")), rename)

    picture = (torch.rand(1, 3, *size) * 2 - 1).half().float()
    context = torch.randn(1, tokens, unet_config["cross_attention_dim"]).half().float()
    latent = vae.encode(picture).latent_dist.mode()
    states, maps = taps(unet, latent * vae.config.scaling_factor, context, timestep)
    tensors = {"picture": picture.half(), "context": context.half(), "latent": latent}
    tensors |= {f"features.{level}": state for level, state in states.items()}
    tensors |= {f"attention.{level}": state for level, state in maps.items()}
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "expected.safetensors")
    (folder / "expected.json").write_text(json.dumps({"timestep": timestep}) + "\n")


def gradients(module, loss):
    module.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in module.named_parameters()}


def pyramid(tag, channels, sizes, width, batch):
    fpn = FeaturePyramidNetwork(channels, width)
    for parameter in fpn.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    maps = {str(i): torch.randn(batch, c, *s) for i, (c, s) in enumerate(zip(channels, sizes))}
    v = torch.cat([level.mean((2, 3)) for level in fpn(maps).values()], 1)
    r = torch.randn_like(v)
    out = {f"{tag}.map.{i}": m for i, m in maps.items()} | {f"{tag}.v": v, f"{tag}.r": r}
    out |= {f"{tag}.{n}": p for n, p in fpn.named_parameters()}
    return out | {f"{tag}.grad.{n}": g for n, g in gradients(fpn, (v * r).sum()).items()}


class Cliea(torch.nn.MultiheadAttention):
    def __init__(self, width, heads, visual):
        super().__init__(width, heads, batch_first=True)
        self.mapping = torch.nn.Linear(visual, width)

    def scenes(self, labels, k):
        rows = [torch.cat([label.expand(len(k), -1, -1), k], 1) for label in labels]
        return torch.stack([self.forward(x, x, x, need_weights=False)[0].mean(1) for x in rows], 1)


def alignment(tag, width, heads, visual, classes, length, tokens, batch, spread):
    model = Cliea(width, heads, visual)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=spread)
    labels, k = torch.randn(classes, length, width), torch.randn(batch, tokens, width)
    v = torch.randn(batch, visual, requires_grad=True)
    scenes = model.scenes(labels, k)
    a = model.mapping(v)
    scores = torch.nn.functional.cosine_similarity(a[:, None], scenes, dim=-1) / 0.07
    y = torch.arange(batch) % classes
    loss = torch.nn.functional.cross_entropy(scores, y)
    out = {"labels": labels, "k": k, "v": v, "scenes": scenes, "scores": scores, "loss": loss}
    out |= dict(model.named_parameters())
    out |= {f"grad.{n}": g for n, g in gradients(model, loss).items()} | {"grad.v": v.grad}
    return {f"{tag}.{n}": t for n, t in out.items()}


class Moe(torch.nn.Module):
    def __init__(self, inputs, experts, hidden, classes, top):
        super().__init__()
        self.top = top
        self.gate = torch.nn.Linear(inputs, experts)
        expert = lambda: torch.nn.Sequential(
            torch.nn.Linear(inputs, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, classes)
        )
        self.experts = torch.nn.ModuleList(expert() for _ in range(experts))

    def forward(self, x):
        gates = self.gate(x).softmax(1)
        top, index = gates.topk(self.top, dim=1)
        answers = torch.stack([expert(x) for expert in self.experts], 1)
        picked = torch.gather(answers, 1, index[:, :, None].expand(-1, -1, answers.shape[2]))
        picks = torch.nn.functional.one_hot(index, gates.shape[1]).float().sum(1)
        switch = gates.shape[1] * (picks.sum(0) / (self.top * len(x)) * gates.mean(0)).sum()
        spread = top.sum(0)[:, None].expand(self.top, answers.shape[2]).std()
        return (picked * top[:, :, None]).sum(1), switch, spread


def mixture(tag, visual, text, batch, experts=4, hidden=12, classes=6, top=2):
    model = Moe(visual + text, experts, hidden, classes, top)
    v, words = torch.randn(batch, visual), torch.randn(batch, text)
    logits, switch, spread = model(torch.cat([v, words], 1))
    y = torch.arange(batch) % classes
    mask = (torch.arange(batch) % 3 != 1).float()
    rows = torch.nn.functional.cross_entropy(logits, y, reduction="none")
    kept = (rows * mask).sum() / mask.sum()
    out = {"v": v, "text": words, "logits": logits, "switch": switch, "spread": spread, "mask": mask}
    out |= {"ce": rows.mean(), "ce_kept": kept, "ce_batch": (rows * mask).mean()}
    # The alignment's part of the joint loss, stood for by the same logits over a temperature.
    ccl = torch.nn.functional.cross_entropy(logits / 0.5, y)
    total = 2 * rows.mean() + 0.3 * ccl + 0.01 * switch + 0.1 * spread + 0.7 * kept
    out |= dict(model.named_parameters()) | {"total": total}
    out |= {f"grad.{n}": g for n, g in gradients(model, total).items()}
    return {f"{tag}.{n}": t for n, t in out.items()}


def adamw(tag, rows=7, columns=5, lr=0.05, betas=(0.8, 0.95), eps=1e-6, decay=0.3, clip=3.0):
    shape = (rows, columns)
    weight = torch.nn.Parameter(torch.randn(shape))
    bias = torch.nn.Parameter(torch.randn(rows))
    groups = [{"params": [weight], "weight_decay": decay}, {"params": [bias], "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=lr, betas=betas, eps=eps)
    out = {f"{tag}.start.weight": weight.detach().clone(), f"{tag}.start.bias": bias.detach().clone()}
    for step in range(1, 4):
        weight.grad, bias.grad = torch.randn(shape), torch.randn(rows)
        out |= {f"{tag}.grad.{step}.weight": weight.grad.clone(), f"{tag}.grad.{step}.bias": bias.grad.clone()}
        norm = torch.nn.utils.clip_grad_norm_([weight, bias], clip)
        optimiser.step()
        out |= {f"{tag}.norm.{step}": norm}
        out |= {f"{tag}.{step}.weight": weight.detach().clone(), f"{tag}.{step}.bias": bias.detach().clone()}
    return out


def heads():
    torch.manual_seed(11)
    tensors = pyramid("fpn", [5, 7, 6, 4], [(16, 24), (8, 12), (4, 6), (2, 3)], 8, 2)
    tensors |= pyramid("uneven", [3, 4, 5], [(12, 4), (4, 2), (1, 1)], 6, 3)
    tensors |= alignment("cliea", 16, 4, 20, 6, 7, 11, 3, 0.5)
    tensors |= alignment("sharp", 24, 2, 9, 3, 2, 5, 4, 1.5)
    tensors |= mixture("moe", 10, 5, 9)
    tensors |= adamw("adamw")
    tensors |= mixture("three", 7, 4, 8, experts=5, hidden=6, classes=3, top=3)
    tensors |= adamw("default", 4, 9, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, decay=1e-2, clip=0.5)
    save_file({k: v.detach().float().contiguous() for k, v in tensors.items()}, OUT / "heads.safetensors")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    cross = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D")
    diffusion(
        "sd15",
        seed=1,
        unet_config=dict(
            block_out_channels=(8, 16, 24, 24),
            layers_per_block=2,
            norm_num_groups=8,
            attention_head_dim=4,
            cross_attention_dim=20,
        ),
        vae_config=dict(
            block_out_channels=(8, 8, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            norm_num_groups=4,
        ),
        size=(128, 192),
        tokens=13,
        timestep=1,
        old_names=True,
    )
    diffusion(
        "sd21",
        seed=2,
        unet_config=dict(
            block_out_channels=(16, 16, 32, 32),
            down_block_types=(cross[0], cross[0], cross[0], "DownBlock2D"),
            up_block_types=("UpBlock2D", cross[1], cross[1], cross[1]),
            layers_per_block=1,
            norm_num_groups=4,
            attention_head_dim=(1, 2, 4, 4),
            cross_attention_dim=24,
            use_linear_projection=True,
            transformer_layers_per_block=2,
        ),
        vae_config=dict(
            block_out_channels=(4, 8, 8, 12),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=1,
            norm_num_groups=2,
            scaling_factor=0.25,
        ),
        size=(64, 64),
        tokens=7,
        timestep=37,
        old_names=False,
    )
    heads()


if __name__ == "__main__":
    main()
