"""What does every network's training share? The loop, averaged weights, and writing a part in place."""

import contextlib
import json
import math
import os
import shutil
import time
from pathlib import Path

import torch
from safetensors.torch import save_file


def log(part, message):
    print(f"{time.strftime('%H:%M:%S')} {part}: {message}", flush=True)


class Average:
    """Exponential moving average of a module's parameters"""

    def __init__(self, module, decay=0.995):
        self.live = [p for p in module.parameters() if p.requires_grad]
        self.mean = [p.detach().clone() for p in self.live]
        self.decay, self.count = decay, 0

    @torch.no_grad()
    def update(self):
        self.count += 1
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        torch._foreach_lerp_(self.mean, [p.detach() for p in self.live], 1 - decay)

    @contextlib.contextmanager
    def applied(self):
        """The module carries the averaged weights inside this block"""
        kept = [p.detach().clone() for p in self.live]
        with torch.no_grad():
            torch._foreach_copy_(self.live, self.mean)
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(self.live, kept)


def fit(part, module, loss_of, settings, ship, helpers=(), ship_minutes=4.0, bf16=True):
    """Train `module` (and throw-away `helpers`); `loss_of(step, progress)` draws a batch and returns its loss

    `ship()` is called with the averaged weights in place, every few minutes and at the end. Returns minutes spent.
    """
    groups = [p for m in (module, *helpers) for p in m.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(groups, lr=settings["lr"], betas=(0.9, 0.98),
                                  weight_decay=settings["weight_decay"], fused=True)
    average = Average(module)
    start, work = time.time(), time.process_time()
    shipped = start
    mean_loss, step = None, 0
    while True:
        progress = max(step / settings["steps"], (time.time() - start) / (60 * settings["minutes"]))
        if progress >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = settings["lr"] * min(1, (step + 1) / 100) * (0.01 + 0.495 * (1 + math.cos(math.pi * progress)))
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = loss_of(step, progress)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(groups, 1.0)
        optimiser.step()
        average.update()
        value = float(loss.detach())
        mean_loss = value if mean_loss is None else 0.95 * mean_loss + 0.05 * value
        step += 1
        if step % 50 == 0:
            log(part, f"step {step} loss {mean_loss:.4f} progress {progress:.2f}")
        if time.time() - shipped > 60 * ship_minutes:
            with average.applied():
                ship()
            shipped = time.time()
    with torch.no_grad():
        torch._foreach_copy_(average.live, average.mean)
    ship()
    minutes, work = (time.time() - start) / 60, (time.process_time() - work) / 60
    log(part, f"done: {step} steps in {minutes:.1f} minutes, {work:.1f} of them on a processor")
    return dict(steps=step, minutes=round(minutes, 1), processor_minutes=round(work, 1))


def half(state):
    """A state dict as contiguous float16 tensors that share no memory"""
    return {k: v.detach().to(torch.float16).contiguous().clone() for k, v in state.items() if v.is_floating_point()}


@contextlib.contextmanager
def replacing(folder):
    """Write a part into a temporary folder, then put its files in place one by one"""
    folder = Path(folder)
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    yield fresh
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(fresh.iterdir()):
        os.replace(file, folder / file.name)
    fresh.rmdir()


def save_weights(state, path):
    save_file(half(state), str(path), metadata={"format": "pt"})
    os.chmod(path, 0o644)


def save_json(value, path):
    Path(path).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def record(out, part, figures, warm=False):
    """Merge one part's figures into figures.json (parts train in separate processes: one file each, then merged)

    A warm start adds its steps and minutes to those of the run it continues.
    """
    folder = Path(out) / ".figures"
    folder.mkdir(parents=True, exist_ok=True)
    before = folder / f"{part}.json"
    if warm and before.exists():
        earlier = json.loads(before.read_text())
        figures = dict(figures, steps=figures["steps"] + earlier["steps"],
                       minutes=round(figures["minutes"] + earlier["minutes"], 1),
                       processor_minutes=round(figures["processor_minutes"] + earlier.get("processor_minutes", 0), 1),
                       runs=1 + earlier.get("runs", 1))
    save_json(figures, folder / f"{part}.json")
    merged = {f.stem: json.loads(f.read_text()) for f in sorted(folder.glob("*.json"))}
    save_json(merged, Path(out) / "figures.json")
