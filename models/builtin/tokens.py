"""How do captions become token ids? A WordPiece vocabulary for BLIP and a byte-level BPE for CLIP, both learned here."""

import json
import re
from collections import Counter

from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import BertTokenizer, CLIPTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
MARKS = ".,;:!?'\"()-/&%"


def words_of(sentences):
    """Whole words of the captions, single characters for all else; [DEC] and [ENC] last, as in BLIP"""
    split = BertPreTokenizer()
    words = Counter(w for s in sentences for w, _ in split.pre_tokenize_str(s.lower()))
    vocabulary = SPECIAL + list(MARKS) + list(LETTERS) + [f"##{c}" for c in LETTERS]
    vocabulary += [w for w, _ in sorted(words.items(), key=lambda item: (-item[1], item[0])) if w not in vocabulary]
    return vocabulary + ["[DEC]", "[ENC]"]


def save_wordpiece(vocabulary, folder):
    """vocab.txt and tokenizer.json in BERT's form"""
    tokenizer = BertTokenizer(vocab={w: i for i, w in enumerate(vocabulary)}, do_lower_case=True,
                              additional_special_tokens=["[DEC]", "[ENC]"], model_max_length=64)
    tokenizer.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    return tokenizer


def bytes_to_letters():
    """The printable stand-in of each byte, in the order of CLIP's vocabulary (Radford et al., byte-level BPE)"""
    kept = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [b for b in range(256) if b not in kept]
    return {b: chr(b) for b in kept} | {b: chr(256 + i) for i, b in enumerate(others)}


def learn_merges(sentences, most):
    """Pairs to merge, most frequent first, ties by spelling; a word ends in `</w>`"""
    letters = bytes_to_letters()
    pattern = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|[^\s\w]+")
    counts = Counter(w for s in sentences for w in pattern.findall(s.lower()))
    words = {}
    for word, count in counts.items():
        symbols = [letters[b] for b in word.encode()]
        words[(*symbols[:-1], symbols[-1] + "</w>")] = count
    merges = []
    while len(merges) < most:
        pairs = Counter()
        for symbols, count in words.items():
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += count
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        words = {merged(symbols, best): count for symbols, count in words.items()}
    return merges


def merged(symbols, pair):
    out, i = [], 0
    while i < len(symbols):
        if symbols[i:i + 2] == pair:
            out.append(symbols[i] + symbols[i + 1])
            i += 2
        else:
            out.append(symbols[i])
            i += 1
    return tuple(out)


def save_bpe(sentences, folder, most):
    """vocab.json and merges.txt in CLIP's form; at most `most` tokens"""
    alphabet = list(bytes_to_letters().values())
    base = alphabet + [a + "</w>" for a in alphabet]
    merges = learn_merges(sentences, most - len(base) - 2)
    tokens = base + ["".join(m) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(m) for m in merges) + "\n")
    written = {name: (folder / name).read_text() for name in ("vocab.json", "merges.txt")}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)
    tokenizer.save_pretrained(folder)
    for name, text in written.items():
        (folder / name).write_text(text)
    return tokenizer
