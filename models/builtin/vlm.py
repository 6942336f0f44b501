"""How is the captioner trained? BLIP's captioning loss, with the caption's words as an extra target for the eyes.

Li et al., 2022 (BLIP): a ViT and a BERT decoder with cross attention, language modelling from [DEC] to [SEP].
Three things stand in for pretraining: the patch embedding starts from the whitened principal components of training
patches, positions from sines, and a throw-away head also predicts from the patch states which words the caption holds,
which gives the ViT a direct gradient for every cue.
"""

import math

import torch
import torch.nn.functional as F
from transformers import BlipConfig, BlipForConditionalGeneration

from data import Shuffled
from lexicon import cues_in
from settings import CLIP_MEAN, CLIP_STD, SIDE, VLM
from tokens import save_wordpiece, words_of
from tools import fit, log, record, replacing, save_json, save_weights

MEAN = torch.tensor(CLIP_MEAN).view(1, 3, 1, 1)
STD = torch.tensor(CLIP_STD).view(1, 3, 1, 1)


def build(tokenizer):
    ids = {name: tokenizer.convert_tokens_to_ids(token)
           for name, token in dict(bos="[DEC]", sep="[SEP]", pad="[PAD]").items()}
    text = dict(VLM["text"], vocab_size=len(tokenizer), bos_token_id=ids["bos"], eos_token_id=ids["sep"],
                sep_token_id=ids["sep"], pad_token_id=ids["pad"], is_decoder=True, label_smoothing=0.0)
    return BlipForConditionalGeneration(
        BlipConfig(text_config=text, vision_config=VLM["vision"], projection_dim=128, image_text_hidden_size=128))


@torch.no_grad()
def start_from_patches(vision, images):
    """Whitened principal components into the patch embedding, sines of row and column into the positions"""
    side, width = vision.config.patch_size, vision.config.hidden_size
    patches = F.unfold(normal(images), side, stride=side).transpose(1, 2).flatten(0, 1)
    mean = patches.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    values, vectors = values.flip(0)[:width], vectors.flip(1)[:, :width]
    filters = 0.5 * vectors.T / (values + 2 * values[width // 4]).sqrt()[:, None]
    embeddings = vision.embeddings
    embeddings.patch_embedding.weight.copy_(filters.view(width, 3, side, side))
    embeddings.patch_embedding.bias.copy_(-filters @ mean)
    cells = vision.config.image_size // side
    angles = torch.arange(cells)[:, None] * math.pi / cells * torch.arange(1, width // 4 + 1)[None] / 4
    line = torch.cat([angles.sin(), angles.cos()], 1)
    grid = torch.cat([line[:, None].expand(-1, cells, -1), line[None].expand(cells, -1, -1)], -1)
    embeddings.position_embedding[0, 1:] = 0.5 * grid.flatten(0, 1)


class Words(torch.nn.Module):
    """The throw-away head: which words does the caption hold?"""

    def __init__(self, width, patches, words):
        super().__init__()
        self.narrow, self.read = torch.nn.Linear(width, 16), torch.nn.Linear(16 * patches, words)
        self.mean = torch.nn.Linear(width, words)

    def forward(self, seen):
        return self.read(self.narrow(seen).flatten(1)) + self.mean(seen.mean(1))


def moved(images):
    """Scaled, turned and shifted faces"""
    count = len(images)
    angle, scale = (torch.rand(count) - 0.5) * 0.35, 0.8 + 0.45 * torch.rand(count)
    place = torch.zeros(count, 2, 3)
    place[:, 0, 0], place[:, 0, 1] = scale * angle.cos(), -scale * angle.sin()
    place[:, 1, 0], place[:, 1, 1] = scale * angle.sin(), scale * angle.cos()
    place[:, :, 2] = (torch.rand(count, 2) - 0.5) * 0.2
    grid = F.affine_grid(place, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def varied(images):
    """The same faces, half of them mirrored, a quarter moved, all slightly recoloured"""
    count = len(images)
    images = torch.cat([moved(images[:count // 4]), images[count // 4:]])
    images[1::2] = images[1::2].flip(-1)
    mix = torch.eye(3) + 0.06 * torch.randn(count, 3, 3)
    mix = mix / mix.sum(-1, keepdim=True).clamp(min=0.5) * (1 + 0.15 * torch.randn(count, 1, 1))
    mix = torch.where(torch.rand(count, 1, 1) < 0.05, torch.full((3, 3), 1 / 3), mix)
    offset = 0.04 * torch.randn(count, 3, 1)
    return torch.baddbmm(offset, mix, images.flatten(2)).view_as(images).clamp_(0, 1)


def normal(images):
    return (images - MEAN) / STD


def losses(model, head, pixels, ids, words, pad):
    seen = model.vision_model(pixel_values=pixels).last_hidden_state
    logits = model.text_decoder(input_ids=ids[:, :-1], attention_mask=(ids[:, :-1] != pad).long(),
                                encoder_hidden_states=seen, return_dict=True).logits
    caption = F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten(), ignore_index=pad)
    bag = F.binary_cross_entropy_with_logits(head(seen[:, 1:]).float(), words)
    return caption, bag


def encode(tokenizer, captions):
    """[DEC] words [SEP], padded"""
    start, end = tokenizer.convert_tokens_to_ids("[DEC]"), tokenizer.convert_tokens_to_ids("[SEP]")
    rows = [[start, *tokenizer.encode(c, add_special_tokens=False), end] for c in captions]
    longest = max(map(len, rows))
    return torch.tensor([row + [tokenizer.pad_token_id] * (longest - len(row)) for row in rows])


@torch.no_grad()
def captions_of(model, tokenizer, pictures, indices, beams=1):
    model.eval()
    said = []
    for start in range(0, len(indices), 50):
        pixels = normal(pictures.images(indices[start:start + 50]))
        ids = model.generate(pixel_values=pixels, max_length=48, num_beams=beams, do_sample=False)
        said += tokenizer.batch_decode(ids, skip_special_tokens=True)
    model.train()
    return [" ".join(s.replace(" ,", ",").split()) for s in said]


def scores(said, true):
    """Micro precision, recall and F1 of named cues, and the share of captions right in every word"""
    hits = sum(len(cues_in(s) & cues_in(t)) for s, t in zip(said, true))
    named, there = sum(len(cues_in(s)) for s in said), sum(len(cues_in(t)) for t in true)
    precision, recall = hits / max(named, 1), hits / max(there, 1)
    return dict(cue_precision=round(precision, 4), cue_recall=round(recall, 4),
                cue_f1=round(2 * precision * recall / max(precision + recall, 1e-9), 4),
                exact_cues=round(sum(cues_in(s) == cues_in(t) for s, t in zip(said, true)) / len(true), 4),
                exact_caption=round(sum(s == t for s, t in zip(said, true)) / len(true), 4))


def ship(model, vocabulary, folder):
    """Write the part as Hugging Face lays out a BLIP captioner"""
    with replacing(folder) as fresh:
        save_wordpiece(vocabulary, fresh)
        model.config.architectures = ["BlipForConditionalGeneration"]
        model.config.save_pretrained(fresh)
        model.generation_config.save_pretrained(fresh)
        state = model.state_dict()
        state["text_decoder.cls.predictions.decoder.weight"] = state["text_decoder.bert.embeddings.word_embeddings.weight"]
        state["text_decoder.cls.predictions.decoder.bias"] = state["text_decoder.cls.predictions.bias"]
        save_weights(state, fresh / "model.safetensors")
        size = {"height": SIDE, "width": SIDE}
        save_json(dict(do_resize=True, do_rescale=True, do_normalize=True, do_convert_rgb=True, resample=3,
                       rescale_factor=1 / 255, size=size, image_mean=CLIP_MEAN, image_std=CLIP_STD,
                       image_processor_type="BlipImageProcessor", processor_class="BlipProcessor"),
                  fresh / "preprocessor_config.json")


def train(train_set, held_out, out, warm=False, **changes):
    settings = {**VLM, **changes}
    torch.manual_seed(11)
    known = out / "vlm" / "vocab.txt"
    vocabulary = known.read_text().split("\n")[:-1] if warm else words_of(train_set.captions)
    with replacing(out / "vlm") as fresh:
        tokenizer = save_wordpiece(vocabulary, fresh)
    model = build(tokenizer)
    if warm:
        from safetensors.torch import load_file
        model.load_state_dict(load_file(out / "vlm" / "model.safetensors"), strict=False)
    else:
        start_from_patches(model.vision_model, train_set.images(torch.arange(0, len(train_set), len(train_set) // 500)))
    vision = VLM["vision"]
    head = Words(vision["hidden_size"], (SIDE // vision["patch_size"]) ** 2, len(tokenizer))
    ids = encode(tokenizer, train_set.captions)
    words = torch.zeros(len(ids), len(tokenizer)).scatter_(1, ids, 1.0)
    draw = Shuffled(len(ids), settings["batch"], 11)
    pad = tokenizer.pad_token_id

    def loss_of(step, progress):
        batch = draw()
        with torch.autocast("cpu", enabled=False):
            pixels = normal(varied(train_set.images(batch)))
        tokens = ids[batch]
        tokens = tokens[:, :int((tokens != pad).sum(1).max())]
        caption, bag = losses(model, head, pixels, tokens, words[batch], pad)
        if step % 100 == 0:
            log("vlm", f"caption {caption.item():.4f} bag {bag.item():.4f}")
        return caption + settings["bag"] * bag

    def write():
        ship(model, vocabulary, out / "vlm")
        probe = held_out.of("portrait")[:50] + held_out.of("sticker")[:50]
        log("vlm", str(scores(captions_of(model, tokenizer, held_out, probe), [held_out.captions[i] for i in probe])))

    log("vlm", f"{sum(p.numel() for p in model.parameters())} parameters, {len(tokenizer)} tokens, "
               f"longest caption {ids.shape[1]} tokens")
    spent = fit("vlm", model, loss_of, settings, write, helpers=[head])
    figures = dict(spent, parameters=sum(p.numel() for p in model.parameters()))
    for domain in ("portrait", "sticker"):
        some = held_out.of(domain)
        said = captions_of(model, tokenizer, held_out, some)
        figures[domain] = dict(scores(said, [held_out.captions[i] for i in some]), pictures=len(some))
        log("vlm", f"{domain} {figures[domain]}")
    record(out, "vlm", figures, warm)
