"""How are facial cues worded, and which cues do the six emotion words stand for?

The phrases are those of the generator's captions. The prototypes are the combinations of action units that EMFACS
(Ekman and Friesen, investigator's guide) lists for each emotion, written as cues: dictionary knowledge about words,
used in text-only pairs. No picture, and no label of a picture, takes part.
"""

import random

CUES = [
    "raises both brows", "raises the inner brows", "raises the outer brows", "knits the brows", "lowers the brows",
    "drips sweat", "widens the eyes", "narrows the eyes", "sheds tears", "raises the cheeks", "wrinkles the nose",
    "lifts the upper lip", "lifts the lip corners", "lowers the lip corners", "stretches the lips",
    "presses the lips", "parts the lips", "shows the tongue", "drops the lower lip", "drops the jaw",
    "raises the chin",
]

# One string a prototype: action units joined by "+"; T tears, S sweat, G tongue.
PROTOTYPES = {
    "surprise": ["1+2+5+26", "1+2+5+27", "1+2+5", "1+2+26", "1+2+27", "5+26", "5+27", "1+2+25"],
    "happy": ["6+12", "12", "6+12+25", "12+25", "6+12+26", "6+7+12"],
    "disgust": ["9", "9+16+25", "9+17", "10", "10+16+25", "10+17", "9+10", "9+15", "9+10+17", "4+9+10", "9+10+G", "7+9"],
    "fear": ["1+2+4+5+20+25", "1+2+4+5+20", "1+2+4+5+26", "1+2+4+5", "1+2+5+20", "5+20", "1+4+5+20", "1+4+5+20+25",
             "1+2+4+5+20+S", "5+20+25+S"],
    "sad": ["1+4+15", "1+4+15+17", "1+4+11+15", "6+15", "1+15", "1+15+17", "1+4+17", "15+17", "1+4+15+T", "1+15+T"],
    "anger": ["4+5+7+23", "4+5+7+17+23", "4+5+7+10+23+25", "4+5+23", "4+7+23", "4+7+17+23", "4+23", "4+7", "4+5+7+25",
              "4+7+25", "4+17+23"],
}
UNITS = {"5": "widens the eyes", "6": "raises the cheeks", "7": "narrows the eyes", "9": "wrinkles the nose",
         "10": "lifts the upper lip", "12": "lifts the lip corners", "15": "lowers the lip corners",
         "16": "drops the lower lip", "17": "raises the chin", "20": "stretches the lips", "23": "presses the lips",
         "26": "drops the jaw", "27": "drops the jaw", "T": "sheds tears", "S": "drips sweat",
         "G": "shows the tongue"}

PROMPTS = ["A {} photo of", "{}", "a {} face", "a photo of {}", "{} in the face", "a person who shows {}",
           "the face expresses {}", "an expression of {}", "this is {}", "the word {}", "a {} person", "a {} sticker",
           "a {} portrait", "the feeling of {}"]


def cues_of(prototype):
    """The cues of one prototype, from the top of the face to the bottom"""
    units = set(prototype.split("+"))
    found = set()
    if {"1", "2"} <= units:
        found.add("raises both brows")
    elif "1" in units:
        found.add("raises the inner brows")
    elif "2" in units:
        found.add("raises the outer brows")
    if "4" in units:
        found.add("knits the brows" if "1" in units else "lowers the brows")
    if "25" in units and not units & {"26", "27", "G"}:
        found.add("parts the lips")
    found |= {UNITS[u] for u in units if u in UNITS}
    return [cue for cue in CUES if cue in found]


def join(subject, cues):
    """A sentence as captions form it"""
    if len(cues) < 2:
        return " ".join([subject, *cues])
    return f"{subject} {', '.join(cues[:-1])} and {cues[-1]}"


def cues_in(caption):
    """The cues a caption names"""
    words = " ".join(caption.lower().replace(",", " ").replace(".", " ").split())
    return {cue for cue in CUES if f" {cue} " in f" {words} "}


def subject_of(caption):
    """What stands before the first cue"""
    starts = [caption.find(cue) for cue in CUES if cue in caption]
    return caption[:min(starts)].strip() if starts else caption.strip()


def sentences_of(caption):
    """The caption's single statements, each with its subject: what a parser of triples makes of it"""
    subject = subject_of(caption)
    named = cues_in(caption)
    return [f"{subject} {cue}" for cue in CUES if cue in named] or [caption]


def definition(emotion, subjects, draw: random.Random):
    """A prompt with the emotion word, and a sentence of the cues that it stands for"""
    prompt = draw.choice(PROMPTS).format(emotion)
    return prompt, join(draw.choice(subjects), cues_of(draw.choice(PROTOTYPES[emotion])))
