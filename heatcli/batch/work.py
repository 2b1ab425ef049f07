"""What is done with every item: explain it, draw it, write its files, and make its record."""

from __future__ import annotations

import io
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heatcli.batch import records, runner
from heatcli.batch.items import Item
from heatcli.batch.outputs import Plan
from heatcli.batch.runner import Outcome
from heatcli.batch.writing import save_npy, save_npz, save_root
from heatcli.errors import HeatcliError, UsageError
from heatcli.settings import Settings

if TYPE_CHECKING:
    from heatcli.explainer import Explainer
    from heatcli.explanation import Explanation

SHARED = "shared"


@dataclass(frozen=True)
class Drawing:
    """How heatmaps are drawn; ``style`` None is an overlay where there is a picture, else the bare heatmap."""

    style: str | None = None
    colormap: str | None = None
    scale: str | float = "per-image"
    size_like: str = "picture"

    def options(self, explanation: Explanation) -> dict[str, Any]:
        """Return the keywords that this explanation is rendered with."""
        style = self.style or ("heatmap" if explanation.image is None else "overlay")
        return {"style": style, "colormap": self.colormap, "scale": self.scale, "size_like": self.size_like}


@dataclass(frozen=True)
class Made:
    """One class of one item; ``png`` holds the heatmap when it goes to stdout, else ``output`` names its file."""

    explanation: Explanation
    drawn: dict[str, Any]
    record: records.Record
    output: Path | None
    also: tuple[Path, ...] = ()
    png: bytes | None = None


@dataclass(frozen=True)
class Work:
    """All that is the same for every item of a run; ``step`` is called after every step of the method."""

    explainer: Explainer
    plan: Plan
    targets: Sequence[str | int] = ("top",)
    versus: str | int | None = None
    settings: Settings = field(default_factory=Settings)
    drawing: Drawing = Drawing()
    save: frozenset[str] = frozenset()
    layers: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    step: Callable[[], None] = lambda: None

    @property
    def passes(self) -> int:
        """How often every item is visited: twice where the colours depend on all of them."""
        return 2 if self.drawing.scale == SHARED else 1

    def run(
        self, items: Sequence[Item], executor: Executor, *, ahead: int, advance: Callable[[], None] = lambda: None
    ) -> Iterator[Outcome[Item, tuple[Made, ...]]]:
        """Yield what was made of every item, in order; ``advance`` is called after each visit.

        With the scale ``shared`` every item is explained first and the relevance kept in a temporary folder, since the
        largest value is known only at the end; then all are drawn. Memory stays bounded either way.
        """
        if self.passes == 1:
            for outcome in runner.run(items, lambda item: self.write(item, self.explain(item)), executor, ahead=ahead):
                advance()
                yield outcome
            return
        with tempfile.TemporaryDirectory(prefix="heatcli-") as folder:
            kept: list[Outcome[Item, _Kept]] = []
            for explained in runner.run(items, lambda item: self._keep(item, Path(folder)), executor, ahead=ahead):
                advance()
                kept.append(explained)
            largest = max((entry.result.largest for entry in kept if entry.result is not None), default=0.0)
            scaled = replace(self, drawing=replace(self.drawing, scale=largest or "per-image"))
            for drawn in runner.run(kept, scaled._draw, executor, ahead=ahead):
                advance()
                yield Outcome(drawn.item.item, drawn.result, drawn.error)

    def explain(self, item: Item) -> list[Explanation]:
        """Return one explanation a target; raises PictureError where the item cannot be read."""
        return self.explainer.explain_targets(
            item.picture(),
            targets=self.targets,
            versus=self.versus,
            layers=self.layers,
            advance=self.step,
            **self.settings,
        )

    def write(self, item: Item, explanations: Sequence[Explanation]) -> tuple[Made, ...]:
        """Draw and write the heatmap of every explanation and what else was asked for."""
        return tuple(self._write(item, explanation) for explanation in explanations)

    def failure(self, item: Item, error: BaseException) -> records.Record:
        """Return the record of an item that could not be explained."""
        settled = self.explainer.preprocessing
        drawn = {name: getattr(self.drawing, name) for name in ("style", "colormap", "scale", "size_like")}
        unknown = {"range": None, "precision": self.explainer.precision, "stride": None, "reference": None}
        unknown |= {"versus": None if self.versus is None else str(self.versus)}
        return records.failure(
            error,
            source=item.name,
            model=self.explainer.model,
            method=str(self.settings.get("method", "deep-taylor")),
            settings={**unknown, **self.settings, **drawn, "options": self.options},
            preprocessing=None if item.is_tensor or settled is None else settled.record(),
        )

    def _write(self, item: Item, explanation: Explanation) -> Made:
        begun = time.perf_counter()
        drawn = self.drawing.options(explanation)
        is_picture = explanation.heatmap.ndim == 2
        png: bytes | None = None
        output: Path | None = None
        also: list[Path] = []
        if self.plan.to_stdout:
            if not is_picture:
                raise UsageError("the input of this model is no picture, so there is no PNG for stdout; leave out -o -")
            stream = io.BytesIO()
            explanation.save(stream, **drawn)
            png = stream.getvalue()
        else:
            output = self.plan.heatmap(item, explanation.target)
            try:
                if is_picture:
                    output.parent.mkdir(parents=True, exist_ok=True)
                    explanation.save(output, **drawn)
                else:
                    output = output.with_suffix(".npy")
                    save_npy(output, explanation)
                if "npy" in self.save and is_picture:
                    also.append(output.with_suffix(".npy"))
                    save_npy(also[-1], explanation)
                if "npz" in self.save:
                    also.append(output.with_suffix(".npz"))
                    save_npz(also[-1], explanation, layers=self.layers)
                if "root" in self.save:
                    also.append(save_root(output, explanation))
            except OSError as error:
                raise UsageError(f"cannot write {output}: {error.strerror or error}") from error
        entry = records.record(
            explanation,
            source=item.name,
            output=None if output is None else str(output),
            settings={**drawn, "options": self.options},
            write_seconds=time.perf_counter() - begun,
        )
        return Made(explanation, drawn, entry, output, tuple(also), png)

    def _keep(self, item: Item, folder: Path) -> _Kept:
        from heatcli.pictures.rendering import full_colour

        explanations = self.explain(item)
        largest = max((full_colour(entry.heatmap) for entry in explanations if entry.heatmap.ndim == 2), default=0.0)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as stream:
            # the picture itself is left out and read again when it is drawn: photographs are large
            pickle.dump(
                [replace(entry, image=entry.image if item.path is None else None) for entry in explanations], stream
            )
        return _Kept(Path(stream.name), largest, explanations[0].image is not None)

    def _draw(self, entry: Outcome[Item, _Kept]) -> tuple[Made, ...]:
        if entry.result is None:
            raise entry.error or HeatcliError("nothing was explained")
        with entry.result.file.open("rb") as stream:
            explanations: list[Explanation] = pickle.load(stream)  # noqa: S301 - written above, in a folder of our own
        entry.result.file.unlink()
        if entry.result.pictured and entry.item.path is not None:
            from heatcli.pictures.reading import read_picture

            image = read_picture(entry.item.path)
            explanations = [replace(explanation, image=image) for explanation in explanations]
        return self.write(entry.item, explanations)


@dataclass(frozen=True)
class _Kept:
    """Explanations put aside in ``file``, what the largest would be drawn with, whether they belong to a picture."""

    file: Path
    largest: float
    pictured: bool
