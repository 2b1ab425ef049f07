"""Train the classifier of emoji scenes and write emoji_scenes.onnx with its sidecar beside this script.

    python -m models.emoji_scenes.train               about 14 minutes on one core with bfloat16 instructions
    python -m models.emoji_scenes.train --float32     27 minutes on one without, as for the file here
    python -m models.emoji_scenes.train --evaluate    the figures of the model card, a few minutes, no training

Needs torch and the emoji font; scenes are drawn as they are needed, no picture is seen twice.
"""

# ruff: noqa: T201 - a script that prints its progress

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from models.emoji_scenes.architecture import Network, write_onnx
from models.emoji_scenes.glyphs import CALIBRATION_DISTRACTORS
from models.emoji_scenes.scenes import NAMES, SIZE, Scene, some_scene

MODEL = Path(__file__).with_name("emoji_scenes.onnx")
SEED = 20170501
STEPS = 1400
BATCH = (34, 24, 6)
"""Scenes with one, two and no class in every batch. Those with two teach what belongs to which class, those with none
teach that there is a zero."""
LEARNING_RATE = 2e-3
SPARSITY = 0.02
"""Price of the sum of the pooled features beside the cross-entropy's sum over the classes; fewer features that each
mean one class keep the heatmaps of two classes apart."""
GRADIENT_NORM = 5.0
CALIBRATION_SCENES = 2000
FALSE_ALARMS = 0.045
"""Share of scenes with no class, only strange things, in which a logit may still be above 0;
below the 0.05 that evaluation grants, whose strange things are others."""


def batches(seed: int, count: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield ``count`` batches of inputs (64, 3, 128, 128) and targets (64, 24), each from a seed of its own."""
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        scenes = [
            some_scene(rng, classes) for classes, number in zip((1, 2, 0), BATCH, strict=True) for _ in range(number)
        ]
        yield inputs(scenes), torch.from_numpy(np.stack([scene.targets for scene in scenes]))


def inputs(scenes: list[Scene]) -> torch.Tensor:
    """Return the pictures of ``scenes`` as network input (N, 3, 128, 128), pixel / 127.5 − 1."""
    pixels = torch.from_numpy(np.stack([np.asarray(scene.picture) for scene in scenes]))
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def train(steps: int, *, bfloat16: bool) -> Network:
    """Return a network trained for ``steps`` batches on one core."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    network = Network(len(NAMES))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps, pct_start=0.15)
    begun, running = time.perf_counter(), 0.0
    for step, (x, targets) in enumerate(batches(SEED, steps), start=1):
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            features = network.features(x.contiguous(memory_format=torch.channels_last)).float()
        logits = network.classifier(features)
        entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / len(x)
        # The price of features is asked late: at first no feature is worth it and all would die.
        price = SPARSITY * float(np.clip((step / steps - 0.2) / 0.3, 0.0, 1.0))
        loss = entropy + price * features.sum(dim=1).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
        optimiser.step()
        schedule.step()
        network.clamp_biases()
        running = entropy.item() if step == 1 else 0.95 * running + 0.05 * entropy.item()
        if step % 50 == 0:
            hits = (logits.argmax(dim=1) == targets.argmax(dim=1))[: BATCH[0]].float().mean()
            minutes = (time.perf_counter() - begun) / 60
            priced = features.sum(dim=1).mean()
            print(
                f"step {step:5}  entropy {running:.3f}  features {priced:.2f}  right {hits:.2f}  {minutes:.1f} min",
                flush=True,
            )
    return network


@torch.no_grad()
def calibrate(network: Network) -> float:
    """Lower all biases of the last layer so far that ``FALSE_ALARMS`` hold, and return by how much.

    The scenes show things that neither training nor evaluation uses: what training showed no longer fools the network.
    """
    highest: list[torch.Tensor] = []
    for start in range(0, CALIBRATION_SCENES, 100):
        seeds = range(start, start + 100)
        scenes = [some_scene(np.random.default_rng((SEED + 1, seed)), 0, CALIBRATION_DISTRACTORS) for seed in seeds]
        highest.append(network(inputs(scenes)).amax(dim=1))
    margin = max(0.0, float(torch.quantile(torch.cat(highest), 1 - FALSE_ALARMS)))
    network.classifier.bias.sub_(margin)
    return margin


def write_sidecar(path: Path) -> None:
    """Write what heatcli needs to know about the model at ``path``."""
    content = {
        "description": "which of 24 emoji are in a scene, one yes or no each",
        "preprocess": "half",
        "size": [SIZE, SIZE],
        "fit": "crop",
        "resize": SIZE,
        "channels": "rgb",
        "layout": "nchw",
        "activation": "sigmoid",
        "labels": list(NAMES),
        "license": "MIT",
    }
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def main() -> None:
    """Train and write, or evaluate what is written."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=STEPS, help="batches of 64 scenes (default %(default)s)")
    parser.add_argument("--float32", action="store_true", help="for processors without bfloat16 instructions")
    parser.add_argument("--output", type=Path, default=MODEL, help="the ONNX file (default: beside this script)")
    parser.add_argument("--evaluate", action="store_true", help="print the model card's figures, do not train")
    given = parser.parse_args()
    if not given.evaluate:
        network = train(given.steps, bfloat16=not given.float32)
        print(f"calibrated: every logit is lowered by {calibrate(network):.2f}")
        write_onnx(network, given.output, SIZE)
        write_sidecar(given.output.with_suffix(".heatcli.json"))
        print(f"{given.output}: {given.output.stat().st_size} bytes")
    else:
        from models.emoji_scenes.evaluate import report

        print(report(given.output))


if __name__ == "__main__":
    main()
