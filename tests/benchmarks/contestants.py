"""Who is compared: each contestant opens a network once and then explains, or just classifies, all pictures of a case.

    python -m tests.benchmarks.contestants NAME NETWORK FOLDER PICTURES BATCH THREADS

opens one of them, has it explain once and prints the most memory in MB that the process ever held.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks.peak_memory import peak

if TYPE_CHECKING:
    import numpy as np

    import heatcli
    from tests.peers.classifier import Classifier

ROOT = Path(__file__).resolve().parents[2]


class Refused(Exception):
    """This contestant does not take part; the text says why."""


class Done(NamedTuple):
    """What a call gave: maps (N, C, H, W), or logits (N, classes); seconds without reading the input, if told."""

    values: np.ndarray
    seconds: float | None = None


Run = Callable[[], Done]


@dataclass(frozen=True)
class Case:
    """A network of the catalogue, and how many pictures are explained in batches of which size.

    ``folder`` holds what ``prepare`` wrote. heatcli takes one picture after the other, whatever the batch.
    """

    network: str
    folder: Path
    pictures: int
    batch: int
    threads: int

    @cached_property
    def classifier(self) -> Classifier:
        """The torch module, in float32."""
        return built(self.network, self.threads)

    @cached_property
    def pixels(self) -> np.ndarray:
        """The pictures (N, 3, H, W) as the network takes them."""
        import numpy as np

        return np.load(self.folder / "pixels.npy")[: self.pictures]

    @cached_property
    def references(self) -> np.ndarray:
        """Zennit's maps (2, N, 3, H, W), computed in float64 and in float32."""
        import numpy as np

        return np.load(self.folder / "references.npy")[:, : self.pictures]

    @cached_property
    def facts(self) -> dict:
        """The classes that are explained (``targets``), their ``scores`` by torch, the ``range`` of the pixels."""
        facts = json.loads((self.folder / "facts.json").read_text())
        return facts | {key: facts[key][: self.pictures] for key in ("targets", "scores")}

    def model(self, batch: int) -> Path:
        """The ONNX file for batches of this size."""
        return self.folder / f"{self.network}-{batch}.onnx"

    def batches(self) -> Iterator[tuple[np.ndarray, list[int]]]:
        """Yield the pictures and their targets batch by batch."""
        for start in range(0, self.pictures, self.batch):
            part = slice(start, start + self.batch)
            yield self.pixels[part], self.facts["targets"][part]


def built(network: str, threads: int) -> Classifier:
    """Build the torch module."""
    import torch

    from tests.benchmarks.architectures import architectures

    torch.set_num_threads(threads)
    return architectures.builders[network]()


def prepare(network: str, folder: Path, pictures: int, batches: set[int], threads: int) -> None:
    """Write the network for every size of batch, the pictures, and the facts about them, to ``folder``."""
    from dataclasses import replace

    import numpy as np
    import torch

    from tests.benchmarks.architectures import BOUNDS
    from tests.peers.exporting import export

    classifier = built(network, threads)
    pixels = torch.cat([classifier.picture(*BOUNDS, seed=seed + 1) for seed in range(pictures)]).float()
    with torch.no_grad():
        best = [classifier.module(one[None])[0].max(0) for one in pixels]
    scores = [float(logit.values) for logit in best]
    assert min(scores) > 0, "without evidence there is nothing to explain"
    facts = {"targets": [int(logit.indices) for logit in best], "scores": scores, "range": list(BOUNDS)}
    (folder / "facts.json").write_text(json.dumps(facts))
    np.save(folder / "pixels.npy", pixels.numpy())
    for batch in batches:
        shaped = replace(classifier, shape=(batch, *classifier.shape[1:]))
        export(shaped, folder / f"{network}-{batch}.onnx")
    np.save(folder / "references.npy", references(classifier, pixels.numpy(), facts["targets"]))


def references(classifier: Classifier, pixels: np.ndarray, targets: list[int]) -> np.ndarray:
    """Return zennit's map for every picture and its target in float64 and in float32, in this order, (2, N, 3, H, W).

    In float32 two values of a pool's window may come out equal or the other way round, and another one wins: that alone
    is 1e-3 of the maximum on VGG-16 and 5e-3 on GoogLeNet, between zennit's own maps. The module keeps its precision.
    """
    import numpy as np
    import torch

    from tests.benchmarks.architectures import BOUNDS
    from tests.peers import zennit_maps

    found = []
    for dtype in (torch.float64, torch.float32):
        classifier.module.to(dtype)
        low, high = (torch.tensor(end, dtype=dtype) for end in BOUNDS)
        maps = [
            zennit_maps.deep_taylor(classifier, torch.from_numpy(x[None]).to(dtype), target, low, high)[0]
            for x, target in zip(pixels, targets, strict=True)
        ]
        found.append(np.stack([one.float().numpy() for one in maps]))
    return np.stack(found)


# contestants ----------------------------------------------------------------------------------------------------------


def forward_by_onnxruntime(case: Case) -> Run:
    """Class scores and nothing else: what the others are measured by."""
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = case.threads, 1, 4
    session = ort.InferenceSession(case.model(case.batch), options, providers=["CPUExecutionProvider"])
    return lambda: Done(np.concatenate([session.run(None, {"input": x})[0] for x, _ in case.batches()]))


def gradient_by_torch(case: Case) -> Run:
    """Forward and backward for the derivative of the explained score by the pixels."""
    import numpy as np
    import torch

    module = case.classifier.module

    def gradient(pixels: np.ndarray, targets: list[int]) -> np.ndarray:
        x = torch.from_numpy(pixels).clone().requires_grad_()
        scores = module(x)[range(len(targets)), targets]
        return torch.autograd.grad(scores.sum(), x)[0].numpy()

    return lambda: Done(np.concatenate([gradient(*batch) for batch in case.batches()]))


def deep_taylor_by_zennit(case: Case) -> Run:
    """The same rules as heatcli's: z^B, z⁺, averages and sums by shares, max pools to the winner."""
    import numpy as np
    import torch

    from tests.peers import zennit_maps

    zennit_maps.make_importable()
    low, high = (torch.tensor(end) for end in case.facts["range"])
    explained = partial(zennit_maps.deep_taylor, case.classifier, low=low, high=high)
    return lambda: Done(
        np.concatenate([explained(torch.from_numpy(x), targets).numpy() for x, targets in case.batches()])
    )


def lrp_by_captum(case: Case) -> Run:
    """LRP with the rule that captum has by default, ε = 1e-9, at every layer; activations and LRN passed.

    Other maps than deep Taylor's, hence compared for time alone. It takes two forward passes and one backward.
    """
    import numpy as np
    import torch
    from torch import nn

    try:
        from captum.attr import LRP
        from captum.attr._utils.lrp_rules import EpsilonRule, IdentityRule
    except ImportError:
        raise Refused("captum is not installed") from None
    from tests.peers.ladder import LocalResponseNormalization
    from tests.peers.zennit_maps import Sum

    lrp = LRP(case.classifier.module)

    def relevance(pixels: np.ndarray, targets: list[int]) -> np.ndarray:
        for layer in case.classifier.module.modules():  # captum removes all rules after every call
            if isinstance(layer, (nn.Flatten, Sum)):
                layer.rule = EpsilonRule()
            elif isinstance(layer, (nn.ReLU6, LocalResponseNormalization)):
                layer.rule = IdentityRule()
        try:
            return lrp.attribute(torch.from_numpy(pixels).clone(), target=targets).detach().numpy()
        except (RuntimeError, TypeError, AttributeError) as error:
            raise Refused(" ".join(str(error).split())) from error

    return lambda: Done(np.concatenate([relevance(*batch) for batch in case.batches()]))


def opened(case: Case, engine: str) -> heatcli.Explainer:
    """Load the network for one picture at a time with this engine; raises Refused where there is no such engine."""
    import heatcli

    chosen = {"engine": engine} if "engine" in inspect.signature(heatcli.load).parameters else {}
    if not chosen and engine != "numpy":
        raise Refused("this heatcli has no choice of engine")
    try:
        return heatcli.load(case.model(1), threads=case.threads, **chosen)
    except heatcli.HeatcliError as error:
        raise Refused(str(error)) from error


def deep_taylor_by_heatcli(case: Case, engine: str) -> Run:
    """One picture after the other, from the array to the map."""
    import numpy as np

    explainer = opened(case, engine)

    def run() -> Done:
        maps, seconds = [], 0.0
        for x, target in zip(case.pixels, case.facts["targets"], strict=True):
            found = explainer.explain(x, target=target, pool="winner", range=tuple(case.facts["range"]))
            maps.append(found.relevance)
            seconds += found.seconds["forward"] + found.seconds["relevance"]
        return Done(np.stack(maps), seconds)

    return run


ENGINES = ("numpy", "compiled")
BASELINE, PEER = "onnxruntime", "zennit"
CONTESTANTS: dict[str, tuple[str, Callable[[Case], Run]]] = {
    BASELINE: ("onnxruntime, forward alone", forward_by_onnxruntime),
    "torch": ("torch, gradient", gradient_by_torch),
    PEER: ("zennit, deep Taylor", deep_taylor_by_zennit),
    "captum": ("captum, LRP-ε", lrp_by_captum),
    **{engine: (f"heatcli, {engine}", partial(deep_taylor_by_heatcli, engine=engine)) for engine in ENGINES},
}
"""Title and opener by name."""


def peak_alone(case: Case, name: str) -> float | None:
    """Return the peak in MB of a fresh process in which one contestant explains once, None where it did not end well.

    Torch's networks are built there from their seed, the others read the ONNX file.
    """
    values = (name, case.network, case.folder, case.pictures, case.batch, case.threads)
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.contestants", *map(str, values)]
    variables = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(case.threads))
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **variables}
    )
    return float(done.stdout) if done.returncode == 0 else None


if __name__ == "__main__":
    chosen, network, folder, *numbers = sys.argv[1:]
    result = CONTESTANTS[chosen][1](Case(network, Path(folder), *map(int, numbers)))()
    assert result.values.any(), "an empty result is no measure"
    print(f"{peak():.1f}")
