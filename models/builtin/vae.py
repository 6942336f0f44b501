"""How is the autoencoder trained? Absolute and squared error with a slight pull to a unit normal latent.

Kingma and Welling, 2014, in the layout of Rombach et al., 2022. It sees crops first (cheap, and textures are local),
whole pictures in the last 30 %, because the middle attention should know them. No perceptual or adversarial loss.
"""

import math

import torch
from diffusers import AutoencoderKL

from data import Shuffled
from settings import VAE
from tools import fit, log, record, replacing, save_weights


def crops(images, side):
    y, x = (int(torch.randint(0, images.shape[-1] - side + 1, ())) for _ in range(2))
    return images[:, :, y:y + side, x:x + side]


@torch.no_grad()
def latents_of(model, pictures, indices):
    """Posterior means, unscaled, [N, 4, 16, 16]"""
    with torch.autocast("cpu", torch.bfloat16):
        return torch.cat([model.encode(pictures.images(indices[i:i + 64]) * 2 - 1).latent_dist.mean.float()
                          for i in range(0, len(indices), 64)])


@torch.no_grad()
def psnr(model, pictures, indices):
    """Mean over pictures of the peak signal-to-noise ratio in dB, decoded from the posterior mean"""
    values = []
    for start in range(0, len(indices), 50):
        images = pictures.images(indices[start:start + 50])
        decoded = model.decode(model.encode(images * 2 - 1).latent_dist.mean).sample
        error = ((decoded.clamp(-1, 1) + 1) / 2 - images).square().flatten(1).mean(1)
        values += [-10 * math.log10(max(e, 1e-10)) for e in error.tolist()]
    return sum(values) / len(values)


def ship(model, train_set, folder):
    sample = torch.linspace(0, len(train_set) - 1, 256).long().tolist()
    model.register_to_config(scaling_factor=round(1 / latents_of(model, train_set, sample).std().item(), 5))
    with replacing(folder) as fresh:
        model.save_config(fresh)
        save_weights(model.state_dict(), fresh / "diffusion_pytorch_model.safetensors")


def train(train_set, held_out, out, warm=False, **changes):
    settings = {**VAE, **changes}
    torch.manual_seed(13)
    model = AutoencoderKL(**VAE["model"])
    if warm:
        model = AutoencoderKL.from_pretrained(out / "vae", torch_dtype=torch.float32)
    log("vae", f"{sum(p.numel() for p in model.parameters())} parameters")
    draw = Shuffled(len(train_set), settings["batch"], 13)

    def loss_of(step, progress):
        whole = progress > 0.7
        batch = draw()[:settings["batch"] // 3 if whole else None]
        images = train_set.images(batch) * 2 - 1
        if torch.rand(()) < 0.5:
            images = images.flip(-1)
        if not whole:
            images = crops(images, settings["crop"])
        posterior = model.encode(images).latent_dist
        error = model.decode(posterior.sample()).sample.float() - images
        kl = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).float().mean()
        return error.abs().mean() + 2 * error.square().mean() + settings["kl"] * kl

    def write():
        ship(model, train_set, out / "vae")
        log("vae", f"PSNR on 50 held-out pictures of each domain: "
                   f"{[round(psnr(model, held_out, held_out.of(d)[:50]), 2) for d in ('portrait', 'sticker')]}")

    spent = fit("vae", model, loss_of, settings, write)
    figures = dict(spent, parameters=sum(p.numel() for p in model.parameters()),
                   scaling_factor=model.config.scaling_factor)
    for domain in ("portrait", "sticker"):
        some = held_out.of(domain)[:200]
        figures[domain] = dict(psnr_db=round(psnr(model, held_out, some), 2), pictures=len(some))
    log("vae", str(figures))
    record(out, "vae", figures, warm)
