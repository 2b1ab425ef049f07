"""One run of ``heatcli compare``: what is said of it on both streams, its records, its files."""

from __future__ import annotations

import io
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

from rich.text import Text

from heatcli.batch import records
from heatcli.cli import telling
from heatcli.cli.console import emit, stderr_console
from heatcli.cli.text import number, shorten, shorten_middle
from heatcli.errors import HeatcliError, PictureError
from heatcli.visible import visible

if TYPE_CHECKING:
    from pathlib import Path

    from heatcli.comparing import Cell, Comparison
    from heatcli.explanation import Explanation
    from heatcli.pictures.sheet import Sheet
    from heatcli.places.items import Item
    from heatcli.places.sources import Sources
    from heatcli.settings import Settings

USUAL = (None, (), "neurons", "logit")
"""What a setting is that was not given."""
NAME, LABEL = 30, 32
"""How wide names and labels are in the list of pictures, at most."""


@dataclass(frozen=True)
class Asked:
    """What is compared: methods, the class, the settings of methods, and how the model is loaded."""

    methods: tuple[str, ...]
    target: str
    versus: str | None
    settings: Settings
    loading: dict[str, Any]

    def given(self) -> Settings:
        """Return the settings that were given."""
        given = ((name, value) for name, value in self.settings.items() if name != "method" and value not in USUAL)
        return cast("Settings", dict(given))


@dataclass(frozen=True)
class Looks:
    """How the sheet is drawn; ``cell`` is the longer side of a cell, None for the usual."""

    style: str
    scale: str | float
    colormap: str | None
    transposed: bool
    cell: int | None


def over(
    model: str,
    found: Sources,
    asked: Asked,
    looks: Looks,
    *,
    path: Path | None,
    enlarged: Path | None,
    region: tuple[int, int, int, int] | None,
    json: bool,
    quiet: bool,
    verbose: bool,
    debug: bool,
) -> int:
    """Explain, draw and write; return the exit code.

    ``path`` is the sheet's file (None: stdout), ``enlarged`` that of the zoom with ``region`` (None: the busiest), if
    one is wanted. Raises UsageError and ModelError for what concerns all pictures.
    """
    import heatcli
    from heatcli.comparing import Comparison

    explainer = heatcli.load(model, **asked.loading)
    run = _Run(found, asked, looks, path, json=json, quiet=quiet, verbose=verbose, debug=debug)
    run.comparison = comparison = Comparison(
        explainer,
        run.read(),
        asked.methods,
        names=[visible(item.relative.name) for item in run.items],
        target=asked.target,
        versus=asked.versus,
        settings=asked.given(),
        cell=looks.cell,
    )
    comparison.columns(looks.colormap)  # refuses colours that fit nothing before the work
    if region is not None and enlarged is not None and explainer.preprocessing is not None:
        from heatcli.pictures.zoom import Region, inside

        inside(Region(*region), explainer.preprocessing.size)
    return run.all(enlarged, region)


class _Run:
    """Takes the cells one by one; what is for eyes goes to stderr, data to stdout."""

    comparison: Comparison

    def __init__(
        self,
        found: Sources,
        asked: Asked,
        looks: Looks,
        path: Path | None,
        *,
        json: bool,
        quiet: bool,
        verbose: bool,
        debug: bool,
    ) -> None:
        self.found, self.asked, self.looks, self.path = found, asked, looks, path
        self.json, self.verbose, self.debug = json, verbose, debug
        self.console, self.errors = stderr_console(quiet=quiet), stderr_console()
        self.items = [item for item in found.items if not item.problem]
        self.failed = [telling.in_a_line(item.problem, item.name) for item in found.items if item.problem]
        self.cells_failed = False
        self.pictures: dict[int, Text] = {}
        self.records: dict[tuple[int, str], records.Record] = {}
        self.warnings: Counter[str] = Counter()
        self.said: set[str] = set()

    def read(self) -> list[Path | bytes]:
        """Return the pictures, as paths where they are files of this machine; what cannot be read has no row."""
        items, pictures = self.items, []
        self.items = []
        for item in items:
            try:
                pictures.append(item.picture())
            except PictureError as error:
                self.failed.append(f"{error}; it has no row")
            else:
                self.items.append(item)
        return pictures

    def all(self, enlarged: Path | None, region: tuple[int, int, int, int] | None) -> int:
        telling.left_out(self.found, self.console)
        explainer = self.comparison.explainer
        pictured = any(not item.is_tensor for item in self.items)
        telling.assumed(explainer.notes if pictured else telling.for_tensors(explainer.notes), self.console)
        telling.takers(self.asked.given(), self.comparison.settings, self.console)
        with self._bar(self.comparison.steps) as advance:
            for cell in self.comparison.run(advance):
                self._take(cell)
        for place in sorted(self.pictures):
            self.console.print(self.pictures[place], no_wrap=True, crop=False)
        for warning, times in self.warnings.most_common(telling.LISTED):
            repeated = f" ({times:,} cells)" if times > 1 else ""
            self.console.print(Text.assemble(("Warning: ", "yellow"), visible(warning), repeated), soft_wrap=True)
        if self.pictures:
            self._write(enlarged, region)
        if self.json:
            for place in range(len(self.items)):
                for method in self.comparison.methods:
                    emit(records.line(self.records[place, method]), self.console)
        telling.failures(self.failed, self.errors, what="cell" if self.cells_failed else "input")
        return 1 if self.failed else 0

    def _bar(self, total: int) -> AbstractContextManager[Callable[[], None]]:
        """Return a progress bar on a terminal, if there is more than one thing to do."""
        if total > 1 and self.console.is_terminal:
            from heatcli.cli.bars import progress

            return progress(total, self.console)
        return nullcontext(lambda: None)

    def _take(self, cell: Cell) -> None:
        item = self.items[cell.place]
        if cell.explanation is None:
            self._fail(cell, item, cell.error or HeatcliError("nothing was made"))
            return
        explanation = cell.explanation
        new = [note for note in explanation.notes if note not in self.said]
        self.said.update(new)
        telling.assumed(new, self.console)
        self.warnings.update(f"{cell.method}: {warning}" for warning in explanation.warnings)
        if cell.place not in self.pictures:
            self.pictures[cell.place] = _in_a_line(item, explanation)
        if self.verbose:
            seconds = sum(explanation.seconds.values())
            line = f"{visible(item.called)}, {cell.method}: {telling.account(explanation)}; {seconds:.2f} s"
            self.console.print(Text(line), soft_wrap=True)
        if self.json:
            self.records[cell.place, cell.method] = records.record(
                explanation,
                source=item.name,
                output=None if self.path is None else str(self.path),
                settings=self._on_record(),
                write_seconds=None,
            )

    def _fail(self, cell: Cell, item: Item, error: Exception) -> None:
        if self.debug:
            telling.trace(error)
        message = str(error) or type(error).__name__
        if not isinstance(error, HeatcliError):
            message = f"unexpected {type(error).__name__}: {message}"
        message = telling.in_a_line(message, item.called)
        unread = cell.place not in self.pictures and isinstance(error, PictureError)
        self.cells_failed |= not unread
        self.failed.append(f"{message}; it has no row" if unread else f"{cell.method}: {message}")
        explainer = self.comparison.explainer
        settled = explainer.preprocessing
        methods = self.comparison.methods
        for method in methods[methods.index(cell.method) :] if unread else (cell.method,):
            self.records[cell.place, method] = records.failure(
                error,
                source=item.name,
                model=explainer.model,
                method=method,
                settings={**self.comparison.settings[method], **self._on_record()},
                preprocessing=None if item.is_tensor or settled is None else settled.record(),
            )

    def _on_record(self) -> dict[str, Any]:
        """Return for records how the sheet is drawn, and what was asked for."""
        loading = {name: value for name, value in self.asked.loading.items() if name != "scale"}
        asked = {"target": self.asked.target, "versus": self.asked.versus, **self.asked.given(), **loading}
        asked["pixel_scale"] = self.asked.loading["scale"]
        return {**asdict(self.looks), "options": records.plain(asked)}

    def _write(self, enlarged: Path | None, region: tuple[int, int, int, int] | None) -> None:
        """Draw and write the sheet, and the zoom where one is wanted."""
        looks = self.looks
        sheet = self.comparison.sheet(
            style=looks.style, scale=looks.scale, colormap=looks.colormap, transposed=looks.transposed
        )
        if self.path is None:
            stream = io.BytesIO()
            _save(sheet, stream)
            sys.stdout.buffer.write(stream.getvalue())
            sys.stdout.buffer.flush()
            return
        self._hand_over(sheet, self.path)
        if enlarged is not None:
            from heatcli.pictures.zoom import Region

            near = self.comparison.zoom(
                None if region is None else Region(*region), scale=looks.scale, colormap=looks.colormap
            )
            self._hand_over(near, enlarged)

    def _hand_over(self, sheet: Sheet, path: Path) -> None:
        """Write ``sheet`` to ``path`` and say so."""
        path.parent.mkdir(parents=True, exist_ok=True)
        _save(sheet, path)
        if self.json or not sys.stdout.isatty():
            across, down = sheet.size
            self.console.print(Text(f"Wrote {visible(str(path))} ({across}×{down} pixels)"), soft_wrap=True)
        if not self.json:
            emit(str(path), self.console)


def _save(sheet: Sheet, target: Path | io.BytesIO) -> None:
    from heatcli.pictures.saving import save_png

    save_png(sheet.draw(), target)


def _in_a_line(item: Item, explanation: Explanation) -> Text:
    """Return a picture, its class, probability and score in one line."""
    label = visible(explanation.label or "")
    name = f"class {explanation.target}" + (f" {label}" if label else "")
    words: Sequence[str] = (
        f"{shorten_middle(visible(item.relative.name), NAME):{NAME}}",
        f"{shorten(name, LABEL):{LABEL}}",
        f"{telling.percent(explanation.probability):>7}",
        f"{number(explanation.score):>7}",
    )
    return Text(" ".join(words))
