"""How is the denoiser trained? To predict the noise in a latent (Ho et al., 2020), given the picture's knowledge.

The layout is that of Stable Diffusion 1.5. The context is what the pipeline will feed it: 77 caption states, then the
mean of the 77 states of the caption's single statements. Latents and text states are computed once.
"""

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from data import Shuffled
from settings import SCHEDULER, UNET
from text import knowledge_tables
from tools import fit, log, record, replacing, save_json, save_weights
from vae import latents_of


class Prepared:
    """Scaled latents and the context of at most `most` pictures"""

    def __init__(self, pictures, out, most):
        vae = AutoencoderKL.from_pretrained(out / "vae", torch_dtype=torch.float32).eval()
        text = CLIPTextModel.from_pretrained(out / "text_encoder", torch_dtype=torch.float32).eval()
        tokenizer = CLIPTokenizer.from_pretrained(out / "tokenizer")
        indices = torch.linspace(0, len(pictures) - 1, min(most, len(pictures))).long().tolist()
        self.latents = latents_of(vae, pictures, indices) * vae.config.scaling_factor
        self.place, self.whole, self.pieces, self.parts = knowledge_tables(
            text, tokenizer, [pictures.captions[i] for i in indices])

    def __len__(self):
        return len(self.latents)

    def context(self, batch):
        rows = [self.place[i] for i in batch.tolist()]
        caption = self.whole[rows].float()
        single = torch.stack([self.pieces[self.parts[row]].float().mean(0) for row in rows])
        return torch.cat([caption, single], 1)


def noise_loss(model, scheduler, prepared, batch, random=None):
    latents = prepared.latents[batch]
    noise = torch.randn(latents.shape, generator=random)
    times = torch.randint(0, scheduler.config.num_train_timesteps, (len(batch),), generator=random)
    noisy = scheduler.add_noise(latents, noise, times)
    said = model(noisy, times, encoder_hidden_states=prepared.context(batch)).sample
    return F.mse_loss(said.float(), noise)


@torch.no_grad()
def held_out_loss(model, scheduler, prepared):
    """The same pictures, times and noise for every model asked"""
    model.eval()
    random = torch.Generator().manual_seed(5)
    parts = torch.arange(len(prepared)).split(100)
    value = sum(noise_loss(model, scheduler, prepared, p, random).item() * len(p) for p in parts) / len(prepared)
    model.train()
    return round(value, 4)


def ship(model, scheduler, out):
    with replacing(out / "unet") as fresh:
        model.save_config(fresh)
        save_weights(model.state_dict(), fresh / "diffusion_pytorch_model.safetensors")
    with replacing(out / "scheduler") as fresh:
        scheduler.save_config(fresh)
    save_json({"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.42.0",
               "feature_extractor": [None, None], "requires_safety_checker": False, "safety_checker": [None, None],
               "scheduler": ["diffusers", "DDPMScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
               "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
               "vae": ["diffusers", "AutoencoderKL"]}, out / "model_index.json")


def train(train_set, held_out, out, warm=False, **changes):
    settings = {**UNET, **changes}
    torch.manual_seed(14)
    scheduler = DDPMScheduler(**SCHEDULER)
    model = UNet2DConditionModel(**UNET["model"])
    if not (out / "unet" / "config.json").exists():
        ship(model, scheduler, out)
    prepared, unseen = Prepared(train_set, out, settings["pictures"]), Prepared(held_out, out, 400)
    untrained = held_out_loss(model, scheduler, unseen)
    if warm:
        model = UNet2DConditionModel.from_pretrained(out / "unet", torch_dtype=torch.float32)
    log("unet", f"{sum(p.numel() for p in model.parameters())} parameters, untrained loss {untrained}, "
                f"latent std {prepared.latents.std():.3f}")
    draw = Shuffled(len(prepared), settings["batch"], 14)
    spent = fit("unet", model, lambda step, progress: noise_loss(model, scheduler, prepared, draw()), settings,
                lambda: ship(model, scheduler, out), bf16=settings.get("bf16", False))
    figures = dict(spent, parameters=sum(p.numel() for p in model.parameters()), held_out_loss_untrained=untrained,
                   held_out_loss=held_out_loss(model, scheduler, unseen))
    log("unet", str(figures))
    record(out, "unet", figures, warm)
