"""Measure the classifier and its heatmaps on fresh scenes, with distractors that training never showed.

Scores come from onnxruntime, heatmaps from heatcli itself with the model's sidecar; torch is not needed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

import heatcli
from models.emoji_scenes.glyphs import UNSEEN_DISTRACTORS
from models.emoji_scenes.scenes import NAMES, Scene, some_scene

Array = np.ndarray
SEED = 9_000_001
"""Training uses another one, so that no scene comes twice."""
LONE, PAIRS, EMPTY = 1440, 600, 1000
EXPLAINED = 240
"""Scenes of each kind that are explained, the first ones that the network gets right: the classes in it are on top, and
each gets a yes (a logit above 0; below, a deep Taylor map is empty)."""
RANDOM_NETWORKS = 4
"""Networks with random weights that explain the same scenes in turn, each its own highest class."""
GOALS = {
    "accuracy, one class": ("≥", 0.97),
    "accuracy of the worst class": ("≥", 0.90),
    "two classes, both on top": ("≥", 0.93),
    "no class, but a logit above 0": ("≤", 0.05),
    "relevance inside the object, mean": ("≥", 0.70),
    "relevance inside the object, 10th percentile": ("≥", 0.50),
    "strongest pixel on the object": ("≥", 0.93),
    "two classes, over half of all on it": ("≥", 0.97),
    "random weights, relevance inside": ("≤", 0.25),
}


def lone_scenes() -> list[Scene]:
    """Return scenes with one class, every class equally often."""
    return [_fresh(1, index, [NAMES[index % len(NAMES)]]) for index in range(LONE)]


def pair_scenes() -> list[Scene]:
    """Return scenes with two classes."""
    return [_fresh(2, index, None) for index in range(PAIRS)]


def empty_scenes() -> list[Scene]:
    """Return scenes with distractors only."""
    return [_fresh(0, index, None) for index in range(EMPTY)]


def _fresh(classes: int, index: int, names: Sequence[str] | None) -> Scene:
    return some_scene(np.random.default_rng((SEED, classes, index)), classes, UNSEEN_DISTRACTORS, names)


def logits(model: Path, scenes: Sequence[Scene]) -> Array:
    """Return the scores (N, 24) float32 of ``scenes``, 64 at a time."""
    session = onnxruntime.InferenceSession(str(model), _one_thread(), providers=["CPUExecutionProvider"])
    pixels = np.stack([np.asarray(scene.picture, np.float32) for scene in scenes]).transpose(0, 3, 1, 2)
    x = np.ascontiguousarray(pixels / np.float32(127.5) - 1)
    parts = [session.run(None, {"image": x[start : start + 64]})[0] for start in range(0, len(x), 64)]
    return np.concatenate(parts)


def _one_thread() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return options


def with_random_weights(model: Path, seed: int, path: Path) -> None:
    """Write ``model`` and its sidecar to ``path`` with Kaiming weights and no biases in place of what was learned."""
    rng, network = np.random.default_rng(seed), onnx.load(model)
    for tensor in network.graph.initializer:
        shape = tuple(tensor.dims)
        fan_in = int(np.prod(shape[1:]))
        fresh = rng.normal(0, (2 / fan_in) ** 0.5, shape) if len(shape) > 1 else np.zeros(shape)
        tensor.CopyFrom(numpy_helper.from_array(fresh.astype(np.float32), tensor.name))
    onnx.save(network, path)
    beside = model.with_suffix(".heatcli.json").read_text(encoding="utf-8")
    path.with_suffix(".heatcli.json").write_text(beside, encoding="utf-8")


def understood(model: Path, scenes: Sequence[Scene]) -> list[Scene]:
    """Return the scenes whose classes are on top and all get a yes."""
    right = []
    for scene, scores in zip(scenes, logits(model, scenes), strict=True):
        best = np.argsort(-scores)[: len(scene.masks)]
        if {NAMES[index] for index in best} == set(scene.masks) and scores[best].min() > 0:
            right.append(scene)
    return right


def share(heatmap: Array, mask: Array) -> float:
    """Return how much of the relevance lies in ``mask``, 0 for an empty map."""
    total = float(np.abs(heatmap).sum())
    return float(np.abs(heatmap)[mask].sum()) / total if total else 0.0


def hit(heatmap: Array, mask: Array) -> bool:
    """Say whether the strongest pixel lies in ``mask``: the pointing game, with no tolerance."""
    return bool(mask.reshape(-1)[int(np.abs(heatmap).argmax())])


def classification(model: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Return the figures of the scores, and the accuracy of every class by label."""
    alone, truth = logits(model, lone_scenes()), np.arange(LONE) % len(NAMES)
    right = alone.argmax(axis=1) == truth
    classes = {name: float(right[truth == index].mean()) for index, name in enumerate(NAMES)}
    pairs = pair_scenes()
    scores = logits(model, pairs)
    lowest = np.where(np.stack([scene.targets for scene in pairs]) > 0, scores, np.inf).min(axis=1)
    best = np.argsort(-scores, axis=1)[:, :2]
    both = [{NAMES[index] for index in two} == set(scene.masks) for two, scene in zip(best, pairs, strict=True)]
    figures = {
        "accuracy, one class": float(right.mean()),
        "accuracy of the worst class": min(classes.values()),
        "one class, its logit above 0": float((alone[np.arange(LONE), truth] > 0).mean()),
        "two classes, both on top": float(np.mean(both)),
        "two classes, both logits above 0": float((lowest > 0).mean()),
        "no class, but a logit above 0": float((logits(model, empty_scenes()).max(axis=1) > 0).mean()),
    }
    return figures, classes


def localisation(model: Path) -> dict[str, float]:
    """Return the figures of the heatmaps, on scenes that the network gets right."""
    right = understood(model, lone_scenes())
    explainer = heatcli.load(model, threads=1)
    taylor, squared, chance, areas, errors = [], [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        random = []
        for seed in range(RANDOM_NETWORKS):
            with_random_weights(model, seed, Path(folder) / f"random{seed}.onnx")
            random.append(heatcli.load(Path(folder) / f"random{seed}.onnx", threads=1))
        for index, scene in enumerate(right[:EXPLAINED]):
            ((name, mask),) = scene.masks.items()
            explanation = explainer.explain(scene.picture, target=name)
            taylor.append((share(explanation.heatmap, mask), hit(explanation.heatmap, mask)))
            errors.append(abs(explanation.ledger.error or 0.0))
            gradient = explainer.explain(scene.picture, target=name, method="sensitivity").heatmap
            squared.append((share(gradient, mask), hit(gradient, mask)))
            untrained = random[index % RANDOM_NETWORKS].explain(scene.picture).heatmap
            chance.append(share(untrained, mask))
            areas.append(mask.mean())
    shares, hits = np.array(taylor, float).T
    gradient_shares, gradient_hits = np.array(squared, float).T
    figures = {
        "scenes with one class explained": float(len(taylor)),
        "area of the object, mean": float(np.mean(areas)),
        "relevance inside the object, mean": float(shares.mean()),
        "relevance inside the object, 10th percentile": float(np.quantile(shares, 0.1)),
        "strongest pixel on the object": float(hits.mean()),
        "gradient², inside the object, mean": float(gradient_shares.mean()),
        "gradient², strongest pixel on the object": float(gradient_hits.mean()),
        "random weights, relevance inside": float(np.mean(chance)),
        "ledger's error, worst": float(np.max(errors)),
    }
    return figures | _pairs(model, explainer)


def _pairs(model: Path, explainer: heatcli.Explainer) -> dict[str, float]:
    right = understood(model, pair_scenes())
    more, most, both, others = [], [], [], []
    for scene in right[:EXPLAINED]:
        for explanation in explainer.explain_targets(scene.picture, targets=tuple(scene.masks)):
            (other,) = set(scene.masks) - {explanation.label}
            mine = share(explanation.heatmap, scene.masks[str(explanation.label)])
            theirs = share(explanation.heatmap, scene.masks[other])
            more.append(mine > theirs)
            most.append(mine > 0.5)
            both.append(mine)
            others.append(theirs)
    return {
        "scenes with two classes explained": float(len(right[:EXPLAINED])),
        "two classes, more on the right object": float(np.mean(more)),
        "two classes, over half of all on it": float(np.mean(most)),
        "two classes, relevance on the right object": float(np.mean(both)),
        "two classes, relevance on the other object": float(np.mean(others)),
    }


def report(model: Path) -> str:
    """Return every figure as text, with the goal and whether it is met where there is one."""
    scores, classes = classification(model)
    maps = localisation(model)
    lines = [f"{LONE} scenes with one class, {PAIRS} with two, {EMPTY} with none; distractors never trained on", ""]
    for name, value in (scores | maps).items():
        shown = f"{value:.0f}" if name.startswith("scenes") else f"{value:.1e}" if "error" in name else f"{value:.3f}"
        sign, goal = GOALS.get(name, ("", 0.0))
        met = value >= goal if sign == "≥" else value <= goal
        lines.append(f"{name:46} {shown:>8}" + (f"   {sign} {goal:.2f} {'yes' if met else 'NO'}" if sign else ""))
    met = maps["strongest pixel on the object"] >= maps["gradient², strongest pixel on the object"]
    lines += [
        f"{'deep Taylor points at least as well as gradient²':46} {'yes' if met else 'NO':>8}",
        "",
        "accuracy of each class",
    ]
    lines += [f"  {name:12} {value:.3f}" for name, value in sorted(classes.items(), key=lambda item: item[1])]
    return "\n".join(lines)
