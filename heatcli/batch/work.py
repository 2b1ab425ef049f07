"""What is done with every item: explain it, draw it, write its files, and make its record."""

from __future__ import annotations

import errno
import io
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from heatcli.batch import records
from heatcli.batch.job import Job
from heatcli.batch.writing import npy, npz, root
from heatcli.errors import OutputError, PictureError, Unwritable, UsageError
from heatcli.places import storage
from heatcli.places.items import Item

if TYPE_CHECKING:
    import PIL.Image

    from heatcli.explainer import Explainer
    from heatcli.explanation import Explanation

SHOWN = 160
"""The longer side of a picture for the terminal, in pixels: two characters a pixel are more than it shows."""
NO_PLACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""What is wrong with the place as a whole: the next file would fare no better."""


@dataclass(frozen=True)
class Made:
    """One class of one item; ``png`` holds the heatmap when it goes to stdout, else ``output`` names its file.

    ``ledger`` is without its layers, ``notes`` say what the method assumed, ``shown`` is a small picture of the
    heatmap. The ``explanation`` itself is kept where the job asks for the whole. ``size`` is that of all its files, in
    bytes.
    """

    record: records.Record
    ledger: Any
    output: str | None
    also: tuple[str, ...] = ()
    png: bytes | None = None
    notes: tuple[str, ...] = ()
    shown: PIL.Image.Image | None = None
    explanation: Explanation | None = None
    size: int = 0


@dataclass(frozen=True)
class Work:
    """A ``job`` and the explainer that does it; ``step`` is called after every step of the method."""

    job: Job
    explainer: Explainer
    step: Callable[[], None] = lambda: None

    def explain(self, item: Item) -> list[Explanation]:
        """Return one explanation a target; raises PictureError where the item cannot be read."""
        job, picture = self.job, item.picture()
        try:
            return self.explainer.explain_targets(
                picture,
                targets=job.targets,
                versus=job.versus,
                layers=job.layers,
                advance=self.step,
                **job.settings,
            )
        except PictureError as error:
            if isinstance(picture, bytes):
                raise PictureError(f"{item.called}: {str(error).removeprefix('the picture: ')}") from error
            if not str(error).startswith(f"{picture}:"):
                raise
            # a worker that stands elsewhere knows the file by another path than was typed
            raise PictureError(item.name + str(error).removeprefix(str(picture))) from error

    def make(self, item: Item) -> tuple[Made, ...]:
        """Explain the item, draw and write the heatmap of every class and what else was asked for.

        Raises PictureError where it cannot be read or changes meanwhile, OutputError where nothing can be written any
        more.
        """
        begun = changed_here(item)
        explanations = self.explain(item)
        made = tuple(self._write(item, explanation, of=len(explanations)) for explanation in explanations)
        if changed_here(item) != begun:  # a heatmap that is newer would pass for that of the new picture
            raise PictureError(f"{item.name}: changed while it was being explained; the same command does it again")
        return made

    def strongest(self, item: Item) -> float:
        """Return the relevance that would get the strongest colour if the item were drawn alone, 0 for no picture."""
        from heatcli.pictures.rendering import full_colour

        drawable = (entry.heatmap for entry in self.explain(item))
        return max((full_colour(heatmap) for heatmap in drawable if heatmap.ndim == 2), default=0.0)

    def _write(self, item: Item, explanation: Explanation, *, of: int) -> Made:
        begun = time.perf_counter()
        job = self.job
        drawn = job.drawing.options(explanation)
        is_picture = explanation.heatmap.ndim == 2
        png = self._png(explanation, drawn) if is_picture else None
        output: str | None = None
        also: list[str] = []
        size = 0
        if job.plan.to_stdout:
            if png is None:
                raise UsageError("the input of this model is no picture, so there is no PNG for stdout; leave out -o -")
        else:
            output = job.plan.heatmap(item, explanation.target)
            files: dict[str, bytes] = {}
            stem = output.removesuffix(".png")
            if png is None:
                output = f"{stem}.npy"
                files[output] = npy(explanation.relevance)
            else:
                files[output] = png
            if "npy" in job.save:
                files[f"{stem}.npy"] = npy(explanation.relevance)
            if "npz" in job.save:
                files[f"{stem}.npz"] = npz(explanation, layers=job.layers)
            if "root" in job.save:
                ending, content = root(explanation)
                files[f"{stem}.root{ending}"] = content
            for place, content in files.items():
                size += len(content)
                if not job.dry:
                    written(place, content, job.base, None if place == job.plan.file else job.plan.around)
            also = [place for place in files if place != output]
        entry = records.record(
            explanation,
            source=item.name,
            output=output,
            settings={**drawn, **job.on_record(of)},
            write_seconds=time.perf_counter() - begun,
        )
        return Made(
            entry,
            replace(explanation.ledger, layers=()),
            output,
            tuple(also),
            png if job.plan.to_stdout else None,
            explanation.notes,
            _shown(explanation, drawn) if job.show and is_picture else None,
            explanation if job.whole else None,
            size,
        )

    @staticmethod
    def _png(explanation: Explanation, drawn: dict[str, Any]) -> bytes:
        stream = io.BytesIO()
        explanation.save(stream, **drawn)
        return stream.getvalue()


def written(place: str, content: bytes, base: str = "", within: str | None = None) -> None:
    """Write a file whole or not at all; a relative place is seen from the folder ``base``, if given.

    No link leads out of the folder ``within``, which is seen from there too.

    Raises OutputError where the disk is full or the like, so that no other file could be written either, and Unwritable
    where it is this one that cannot.
    """
    try:
        around = None if within is None else storage.seen_from(base, within)
        storage.write(storage.seen_from(base, place), content, within=around)
    except OSError as error:
        reason = f"cannot write {storage.shown(place)}: {storage.reason(error)}"
        raise (OutputError if error.errno in NO_PLACE else Unwritable)(reason) from error


def changed_here(item: Item) -> int | None:
    """Return when the picture was last changed, None where to know it would be a question to a server for each."""
    place = item.place
    return None if place is None or storage.is_remote(place) else storage.modified(place)


def _shown(explanation: Explanation, drawn: dict[str, Any]) -> PIL.Image.Image:
    image = explanation.render(**{**drawn, "colorbar": False})
    image.thumbnail((SHOWN, 10 * SHOWN))
    return image
