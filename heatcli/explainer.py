"""The main road: a picture and a network go in, an explanation comes out.

picture ─ inputs ──► input tensor ─ forward ──► activations ─ relevance ──► relevance and its account
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from heatcli.choosing import Choice, choose, one_of
from heatcli.errors import UsageError
from heatcli.explanation import ClassScore, Explanation, ModelInfo
from heatcli.forward import Forward
from heatcli.inputs import Bounds, Constant, Picture, Prepared, Range, prepare, range_of
from heatcli.limits import Limits
from heatcli.network.layers import Network
from heatcli.pictures.layouts import form_of
from heatcli.pictures.preprocessing import Preprocessing
from heatcli.planning import ENGINES, LayerPlan, Plan, plan, steps
from heatcli.planning.against import itself, rivals, sorted_out
from heatcli.planning.infinite import infinite_scores
from heatcli.planning.layerwise import rules_for
from heatcli.planning.occlusion import Windows, windows_on
from heatcli.planning.plan import nothing
from heatcli.relevance.bounds import bounded_inputs
from heatcli.relevance.stored import ModelFile, Stored
from heatcli.runtime import providers
from heatcli.settings import Settings
from heatcli.targets import probabilities, ranked, wanted

if TYPE_CHECKING:
    from heatcli.exporting import Written

Array = np.ndarray
PRECISIONS: dict[str, type[np.floating]] = {"float32": np.float32, "float64": np.float64}


class Explainer:
    """A network ready to explain pictures; safe to use from several threads."""

    def __init__(
        self,
        network: Network,
        *,
        model: ModelInfo,
        preprocessing: Preprocessing | None,
        labels: tuple[str, ...] | None = None,
        notes: tuple[str, ...] = (),
        range: Range | None = None,
        threads: int | None = None,
        precision: str = "float32",
        activation: str = "softmax",
        engine: str = "numpy",
        provider: str = "cpu",
        inputs: Mapping[str, Constant] | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Keep what is known; a session is opened when the first picture comes.

        ``activation`` is what makes probabilities of a network that ends in logits: softmax or sigmoid. ``engine`` is
        numpy or compiled, ``provider`` what onnxruntime runs on, such as cpu or cuda. ``inputs`` are those beside the
        picture, which the network has taken in as constants; ``limits`` bound the pixels of pictures.
        """
        one_of("engine", engine, tuple(ENGINES))
        providers(provider)
        one_of("activation", activation, ("softmax", "sigmoid"))
        one_of("precision", precision, tuple(PRECISIONS))
        self.network, self.model, self.preprocessing, self.labels = network, model, preprocessing, labels
        self.notes = (*network.notes, *notes)
        self.range, self.threads, self.precision, self.activation = range, threads, precision, activation
        self.engine, self.provider, self.inputs = engine, provider, dict(inputs or {})
        self.limits = limits or Limits()
        self._plan: tuple[tuple[Any, ...], Plan] | None = None
        self._models = ModelFile(network, model.path, model.sha256)
        self._plain_run: Forward | None = None
        self._lock = threading.Lock()

    def explain(
        self,
        picture: Picture,
        *,
        target: str | int = "top",
        versus: str | int | None = None,
        range: Range | None = None,
        layers: bool = False,
        **settings: Unpack[Settings],
    ) -> Explanation:
        """Explain why the network gives ``picture`` the score of class ``target``.

        ``picture`` is a path, a file, bytes, a PIL image, or an array that is already the network input, with or
        without the batch axis. ``target`` is ``"top"``, a class index or a label; ``versus`` names a rival in the same
        way, whose relevance is taken from the target's. ``range`` gives the bounds of the network input, ``layers``
        asks for the relevance of every layer too. ``settings`` are those of the method, see ``settings.Settings``.
        Raises PictureError for a picture that cannot be read, UsageError for a setting that does not fit, and
        UnsupportedModel where the method needs layers and the network could not be read into any.
        """
        explanations = self.explain_targets(
            picture, targets=(target,), versus=versus, range=range, layers=layers, **settings
        )
        if len(explanations) != 1:
            raise UsageError(f"the target '{target}' names {len(explanations)} classes; use explain_targets")
        return explanations[0]

    def __repr__(self) -> str:
        """Name the model, its input and its classes."""
        source, output = self.network.input, self.network.output
        return f"Explainer({self.model.path!r}, input {source.name} {source.shape}, {output.classes} classes)"

    def explain_targets(
        self,
        picture: Picture,
        *,
        targets: Sequence[str | int] = ("top",),
        versus: str | int | None = None,
        range: Range | None = None,
        layers: bool = False,
        advance: Callable[[], None] = nothing,
        **settings: Unpack[Settings],
    ) -> list[Explanation]:
        """Explain several classes of one picture with one forward pass; ``"top-K"`` among ``targets`` stands for K.

        Each is set against the class ``versus``, if given; ``"top"`` is then the best one but the target itself. With
        ``layers`` an explanation keeps the relevance of every layer's output too. ``advance`` is called after each of
        the method's ``steps``. Other keywords and errors as for ``explain``.
        """
        choice = self._choose(**settings)
        given = self.range if range is None else range
        prepared = prepare(picture, self.network.input, self.preprocessing, given, most=self.limits.pixels)
        stored = self._stored(choice)
        settled = self._plan_for(choice, prepared.bounds, stored)

        asked = wanted(targets, self.network.output.classes, self.labels)
        rival = None if versus is None else self._rival(versus)
        if rival is not None and rival in asked and rival >= 0:
            raise UsageError(itself(rival))

        begun = time.perf_counter()
        opponents = () if rival is None else (rival,) if rival >= 0 else (-1, -2)
        activations = settled.forward(prepared.x, [*asked, *opponents])
        seconds = {"read": prepared.seconds, "forward": time.perf_counter() - begun}

        scores = np.asarray(activations[self.network.output.logits], np.float32).reshape(-1)
        if not np.isfinite(scores).all():
            raise infinite_scores(self.network, prepared.x, threads=self.threads)
        output = activations[self.network.output.name]
        chances = probabilities(scores, output, self.network.output.kind, self.activation)
        top = tuple(self._class(int(index), scores, chances) for index in np.argsort(-scores, kind="stable")[:5])
        on_record = {
            "method": choice.method.name,
            **settled.settings,
            "relevance_model": None if stored is None else stored.record(),
            "range": _plain(prepared.bounds),
            "precision": self.precision,
            **self._given(),
        }
        indices = list(dict.fromkeys(ranked(asked, scores)))
        opposed = {} if rival is None else rivals(indices, rival, scores)
        walking = [self._class(index, scores, chances) for index in dict.fromkeys([*indices, *opposed.values()])]
        begun = time.perf_counter()
        kept: list[dict[str, Array]] | None = [] if layers else None
        walked = settled.walk(activations, prepared.x, walking, kept, advance)
        seconds["relevance"] = (time.perf_counter() - begun) / len(indices)
        explanations = []
        for entry, found, layer_by_layer, opponent in sorted_out(indices, opposed, walking, walked, kept):
            explanations.append(
                Explanation(
                    relevance=self._without_batch(found.relevance),
                    layout=self.preprocessing.layout if self.preprocessing else self.network.input.layout,
                    target=entry.index,
                    label=entry.label,
                    score=entry.score,
                    probability=entry.probability,
                    top=top,
                    ledger=found.ledger,
                    method=choice.method.name,
                    signed=settled.signed or opponent is not None,
                    settings={**on_record, "versus": None if opponent is None else asdict(opponent)},
                    preprocessing=self.preprocessing.record() if prepared.placement and self.preprocessing else {},
                    model=self.model,
                    image=prepared.image,
                    placement=prepared.placement,
                    seconds=dict(seconds),
                    warnings=(*prepared.warnings, *found.warnings),
                    notes=settled.notes,
                    layers=layer_by_layer,
                    versus=opponent,
                    root=None if found.root is None else self._without_batch(found.root),
                    root_picture=None
                    if found.root is None or self.preprocessing is None
                    else self.preprocessing.picture(found.root),
                )
            )
        return explanations

    def compile(self, path: str | Path, *, range: Range | None = None, **settings: Unpack[Settings]) -> Written:
        """Write network and explanation as one ONNX model of standard operations to ``path``; settings as for explain.

        Its inputs are the network's own and ``target`` (int64: class indices, or −1 for the best class, −2 for the
        second …); its outputs are the network's own, ``relevance``, ``heatmap`` and ``ledger``. The file is compared
        with the NumPy engine on noise before it takes its place. Raises UnsupportedModel where the network has
        operations that are not standard ones, HeatcliError where the file would be too large or does not agree.
        """
        from heatcli.exporting import write_explainer

        choice = self._choose(**settings)
        if choice.method.way != "walk":
            raise UsageError(f"{choice.method.name} runs the network on many inputs: it cannot be compiled")
        given = self.range if range is None else range
        known = self.preprocessing.bounds() if self.preprocessing else None
        bounds = known if given is None else range_of(given, self.network.input)
        stored = self._stored(choice)
        settled = LayerPlan(
            self.network,
            choice,
            bounds,
            models=None if stored is None else stored.models,
            activation=self.activation,
            threads=self.threads,
        )
        on_record = {
            "method": choice.method.name,
            "input_rule": settled.input_rule,
            "rules": {name: rule.name for name, rule in settled.rules.items()},
            "range": _plain(bounds),
            "biases": choice.biases,
            "evidence": choice.evidence,
            "preprocessing": self.preprocessing.record() if self.preprocessing else None,
            "labels": self.labels,
            "model_sha256": self.model.sha256,
            **({} if stored is None else {"relevance_model": stored.record()}),
            **self._given(),
        }
        return write_explainer(settled, bounds, form_of(*self._arrangement()), on_record, Path(path))

    def explain_many(self, pictures: Iterable[Picture], **settings: Any) -> Iterator[Explanation]:
        """Explain one picture after the other, in order, holding one at a time; settings as for ``explain``."""
        if isinstance(pictures, str | bytes | Path):
            raise UsageError("explain_many takes several pictures; give a list, or call explain for one")
        return (self.explain(picture, **settings) for picture in pictures)

    def assigned_rules(self, **settings: Unpack[Settings]) -> dict[str, str]:
        """Return the name of the rule that every layer would get for a picture, by layer name; none in occlusion."""
        known = self.preprocessing is not None or self.range is not None
        choice = self._choose(**settings)
        if choice.method.composite is None:
            return {}
        assigned = rules_for(self.network, choice, bounded=known and bounded_inputs(self.network) is not None)
        return {name: rule.name for name, rule in assigned.items()}

    def steps(self, **settings: Unpack[Settings]) -> int:
        """Return in how many steps a picture is explained: windows, inputs or searches of some methods, else 1."""
        choice = self._choose(**settings)
        return steps(choice, partial(self._windows, choice))

    def __getstate__(self) -> dict[str, Any]:
        """Return what goes to another process or machine: everything but sessions, which are opened there."""
        return {**self.__dict__, "_plan": None, "_plain_run": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what came from another process or machine."""
        self.__dict__.update(state, _lock=threading.Lock())

    def _plan_for(self, choice: Choice, bounds: Bounds | None, stored: Stored | None) -> Plan:
        """Return the plan of ``choice``; one is kept, since it holds a session and the split weights."""
        key = (choice, stored, None if bounds is None else tuple(bound.tobytes() for bound in bounds))
        with self._lock:
            if self._plan is None or self._plan[0] != key:
                settled = plan(
                    self.network,
                    choice,
                    bounds,
                    partial(self._windows, choice),
                    models=None if stored is None else stored.models,
                    engine=self.engine,
                    activation=self.activation,
                    threads=self.threads,
                    provider=self.provider,
                    dtype=PRECISIONS[self.precision],
                )
                self._plan = (key, settled)
            return self._plan[1]

    def relevance_models(self, **settings: Unpack[Settings]) -> dict[str, Any] | None:
        """Return which file of relevance models a method goes by, as it is on record; None where it needs none.

        Raises UsageError where the file is missing or does not fit.
        """
        stored = self._stored(self._choose(**settings))
        return None if stored is None else stored.record()

    def _stored(self, choice: Choice) -> Stored | None:
        """Return the relevance models that a method goes by, None where it needs none."""
        return self._models.read(choice.relevance_model) if choice.method.fitted else None

    def _windows(self, choice: Choice) -> Windows:
        return windows_on(*self._arrangement(), choice.window)

    def _arrangement(self) -> tuple[tuple[int, ...], str, tuple[int, int] | None]:
        """Return the input's shape, how a picture lies in it, and the picture's (height, width) where it is known."""
        settled, spec = self.preprocessing, self.network.input
        return spec.shape, settled.layout if settled else spec.layout, settled.size if settled else None

    def _choose(self, **settings: Unpack[Settings]) -> Choice:
        """Return what the user settled; raises UsageError for what does not fit, UnsupportedModel where layers lack."""
        choice = choose(**settings)
        if choice.method.composite is not None:
            self.network.require_layers()
        elif self.engine != "numpy":
            name = choice.method.name
            raise UsageError(f"--engine {self.engine} does not go with {name}, which runs the network as it is")
        return choice

    def _rival(self, versus: str | int) -> int:
        """Return the class index that ``versus`` names, −1 for the best one."""
        named = wanted((versus,), self.network.output.classes, self.labels)
        if self.network.output.classes < 2:
            raise UsageError(f"--versus {versus}: the network has one class only, and so no rival to set it against")
        if len(named) != 1:
            raise UsageError(f"--versus {versus}: one class beside the explained one is needed, or top")
        return named[0]

    def _given(self) -> dict[str, Any]:
        """Return for records what was given beside the picture, nothing where there is nothing."""
        return {"inputs": {name: entry.record() for name, entry in self.inputs.items()}} if self.inputs else {}

    def _class(self, index: int, scores: Array, chances: Array) -> ClassScore:
        label = self.labels[index] if self.labels else None
        return ClassScore(index, label, float(scores[index]), float(chances[index]))

    def _without_batch(self, relevance: Array) -> Array:
        spec = self.network.input
        batched = spec.layout.startswith("N") or spec.layout == "flat"
        return np.ascontiguousarray(relevance[0] if batched and spec.shape[0] == 1 else relevance, np.float32)

    def network_input(self, picture: Picture) -> Prepared:
        """Return ``picture`` as the network sees it: the input tensor, its range, where in the picture it lies.

        Raises PictureError where it cannot be read, UsageError where it does not fit.
        """
        return prepare(picture, self.network.input, self.preprocessing, self.range, most=self.limits.pixels)

    def classify(self, x: Array) -> tuple[Array, Array]:
        """Run the network alone on ``x``, of its input's shape and dtype, batch axis included.

        Return the scores before softmax or sigmoid and the probabilities, (K,) float32 each. Raises UsageError where
        ``x`` does not fit, PictureError where the scores are not finite, ModelError where weights are not.
        """
        with self._lock:
            if self._plain_run is None:
                self._plain_run = Forward(self.network, threads=self.threads, provider=self.provider)
        values, output = self._plain_run.run(x), self.network.output
        scores = np.asarray(values[output.logits], np.float32).reshape(-1)
        if not np.isfinite(scores).all():
            raise infinite_scores(self.network, x, threads=self.threads)
        return scores, probabilities(scores, values[output.name], output.kind, self.activation)


def _plain(bounds: Bounds | None) -> list[list[float]] | None:
    """Return the range for the record, one number or one a channel."""
    return None if bounds is None else [[float(value) for value in bound.reshape(-1)[:8]] for bound in bounds]
