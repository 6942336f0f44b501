"""How is the text encoder trained? As CLIP's: captions against pictures, contrastively (Radford et al., 2021).

The image tower is the trained captioner's ViT, frozen, with a small head that is thrown away. Captions never hold an emotion word, so a second, text-only loss
ties prompts with the six words to sentences of the cues they stand for (lexicon.py). Pooling is at the first
`<|endoftext|>`; in a quarter of the batches it is at a later padding position instead, because this project's
knowledge tensor uses all 77 states.
"""

import random

import torch
import torch.nn.functional as F
from transformers import BlipForConditionalGeneration, CLIPTextConfig, CLIPTextModel

from data import Shuffled
from lexicon import CUES, PROMPTS, definition, sentences_of, subject_of
from settings import EMOTIONS, TEXT, VLM
from tokens import save_bpe
from tools import fit, log, record, replacing, save_weights
from vlm import normal

LENGTH = 77


def encode(tokenizer, sentences):
    """Token ids padded with `<|endoftext|>` to 77, and the place of the first one"""
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    rows = [[tokenizer.convert_tokens_to_ids("<|startoftext|>"),
             *tokenizer.encode(s, add_special_tokens=False)[:LENGTH - 2], end] for s in sentences]
    ends = torch.tensor([len(r) - 1 for r in rows])
    return torch.tensor([r + [end] * (LENGTH - len(r)) for r in rows]), ends


def vocabulary_sentences(captions):
    prompts = [p.format(e) for p in PROMPTS for e in EMOTIONS]
    return sorted(set(captions)) + prompts * 50


class Towers(torch.nn.Module):
    """What is thrown away: the head on picture features, a projection of the text and the temperature"""

    def __init__(self, width):
        super().__init__()
        seen = VLM["vision"]["hidden_size"]
        self.see = torch.nn.Sequential(torch.nn.LayerNorm(seen), torch.nn.Linear(seen, 256), torch.nn.GELU(),
                                       torch.nn.Linear(256, width))
        self.read = torch.nn.Linear(width, width)
        self.scale = torch.nn.Parameter(torch.tensor(2.6))

    def picture(self, features):
        return F.normalize(self.see(features).float(), dim=-1)

    def logits(self, a, b):
        return self.scale.clamp(max=4.0).exp() * a @ b.T


@torch.no_grad()
def features_of(out, pictures):
    """Mean patch states of the captioner's ViT, [N, width]"""
    model = BlipForConditionalGeneration.from_pretrained(out / "vlm", torch_dtype=torch.float32).vision_model.eval()
    parts = torch.arange(len(pictures)).split(64)
    with torch.autocast("cpu", torch.bfloat16):
        return torch.cat([model(pixel_values=normal(pictures.images(p))).last_hidden_state[:, 1:].mean(1).float()
                          for p in parts])


def pooled(model, towers, ids, ends, late):
    length = LENGTH if late else int(ends.max()) + 1
    states = model(input_ids=ids[:, :length]).last_hidden_state
    at = ends + (torch.rand(len(ends)) * (length - ends)).long() if late else ends
    return F.normalize(towers.read(states[torch.arange(len(at)), at]).float(), dim=-1)


def both_ways(logits, same):
    """Cross entropy in both directions; equal captions count as one positive shared between them"""
    target = same / same.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def ship(model, tokenizer_sentences, out):
    with replacing(out / "tokenizer") as fresh:
        save_bpe(tokenizer_sentences, fresh, TEXT["vocabulary"])
    with replacing(out / "text_encoder") as fresh:
        model.config.architectures = ["CLIPTextModel"]
        model.config.save_pretrained(fresh)
        state = model.state_dict()
        state = {k if k.startswith("text_model.") else f"text_model.{k}": v for k, v in state.items()}
        save_weights(state, fresh / "model.safetensors")


def train(train_set, held_out, out, warm=False, **changes):
    settings = {**TEXT, **changes}
    torch.manual_seed(12)
    sentences = vocabulary_sentences(train_set.captions)
    with replacing(out / "tokenizer") as fresh:
        tokenizer = save_bpe(sentences, fresh, TEXT["vocabulary"])
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    model = CLIPTextModel(CLIPTextConfig(
        **TEXT["model"], vocab_size=len(tokenizer), bos_token_id=tokenizer.convert_tokens_to_ids("<|startoftext|>"),
        eos_token_id=end, pad_token_id=end))
    towers = Towers(TEXT["model"]["hidden_size"])
    subjects = sorted({subject_of(c) for c in train_set.captions})
    log("text", f"{sum(p.numel() for p in model.parameters())} parameters, {len(tokenizer)} tokens, "
                f"{len(subjects)} subjects")
    ids, ends = encode(tokenizer, train_set.captions)
    _, cue_set = torch.unique(torch.tensor([[cue in c for cue in CUES] for c in train_set.captions]).long(), dim=0,
                              return_inverse=True)
    draw = Shuffled(len(ids), settings["batch"], 12)
    features, unseen = features_of(out, train_set), features_of(out, held_out)
    words = random.Random(12)

    def picture_loss(late):
        batch = draw()
        seen = towers.picture(features[batch])
        read = pooled(model, towers, ids[batch], ends[batch], late)
        same = (cue_set[batch][:, None] == cue_set[batch][None]).float()
        return both_ways(towers.logits(read, seen), same)

    def word_loss(late):
        pairs = [(e, *definition(emotion, subjects, words)) for e, emotion in enumerate(EMOTIONS) for _ in range(8)]
        prompts = pooled(model, towers, *encode(tokenizer, [p for _, p, _ in pairs]), late)
        defined = pooled(model, towers, *encode(tokenizer, [d for _, _, d in pairs]), late)
        kind = torch.tensor([e for e, _, _ in pairs])
        return both_ways(towers.logits(prompts, defined), (kind[:, None] == kind[None]).float())

    def loss_of(step, progress):
        late = step % 4 == 3
        seen, said = picture_loss(late), word_loss(late)
        if step % 50 == 0:
            log("text", f"pictures {seen.item():.3f} words {said.item():.3f}")
        return seen + 0.3 * said

    spent = fit("text", model, loss_of, settings, lambda: ship(model, sentences, out), helpers=[towers])
    record(out, "text", dict(spent, parameters=sum(p.numel() for p in model.parameters()),
                             **evaluate(model, towers, tokenizer, held_out, unseen)))


@torch.no_grad()
def evaluate(model, towers, tokenizer, held_out, features):
    """Retrieval of captions from 100 pictures, and whether definitions lie nearest to their own word"""
    model.eval(), towers.eval()
    figures = {}
    for domain in ("portrait", "sticker"):
        some = held_out.of(domain)[:100]
        seen = towers.picture(features[some])
        read = pooled(model, towers, *encode(tokenizer, [held_out.captions[i] for i in some]), False)
        order = (seen @ read.T).argsort(1, descending=True)
        rank = (order == torch.arange(len(some))[:, None]).int().argmax(1)
        figures[domain] = dict(recall_at_1_of_100=round((rank < 1).float().mean().item(), 3),
                               recall_at_5_of_100=round((rank < 5).float().mean().item(), 3))
    prompts = pooled(model, towers, *encode(tokenizer, [f"A {e} photo of" for e in EMOTIONS]), False)
    figures["prompt_similarity"] = [[round(v, 3) for v in row] for row in (prompts @ prompts.T).tolist()]
    log("text", str(figures))
    return figures


@torch.no_grad()
def states_of(model, tokenizer, sentences):
    """Last hidden states after the final LayerNorm, float16 [N, 77, width]"""
    ids, _ = encode(tokenizer, sentences)
    return torch.cat([model(input_ids=part).last_hidden_state.half() for part in ids.split(256)])


def knowledge_tables(model, tokenizer, captions):
    """States of every distinct caption and of every single statement, with the indices that rebuild k for a caption"""
    distinct = sorted(set(captions))
    place = {c: i for i, c in enumerate(distinct)}
    parts = [sentences_of(c) for c in distinct]
    single = sorted({s for p in parts for s in p})
    at = {s: i for i, s in enumerate(single)}
    whole, pieces = states_of(model, tokenizer, distinct), states_of(model, tokenizer, single)
    return [place[c] for c in captions], whole, pieces, [[at[s] for s in p] for p in parts]


