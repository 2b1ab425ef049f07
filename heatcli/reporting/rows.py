"""One record as one flat row: the columns of a summary, their types, and where each stands in the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from heatcli.batch.records import SECONDS, Record
from heatcli.reporting.fields import at, listed, number, share, text, whole

Kind = Literal["text", "whole", "real"]
Cell = str | int | float | None
TOP = 5
"""So many classes have columns."""


@dataclass(frozen=True)
class Column:
    """One column: its ``name``, the ``kind`` of its cells, and what reads a cell from a record."""

    name: str
    kind: Kind
    read: Callable[[Record], Cell]


def lost_share(record: Record) -> float | None:
    """Return which share of the relevance put in was lost, None where no account is promised or nothing put in."""
    return share(number(at(record, "ledger", "lost")), number(at(record, "ledger", "start")))


def row(record: Record) -> list[Cell]:
    """Return the cells of ``record``, in the order of ``COLUMNS``; None for what the record does not hold."""
    return [column.read(record) for column in COLUMNS]


def _text(name: str, *path: str) -> Column:
    return Column(name, "text", lambda record: text(at(record, *path)))


def _whole(name: str, *path: str) -> Column:
    return Column(name, "whole", lambda record: whole(at(record, *path)))


def _real(name: str, *path: str) -> Column:
    return Column(name, "real", lambda record: number(at(record, *path)))


def _best(place: int, name: str) -> Any:
    """Return what reads ``name`` of the class that is number ``place`` by score."""

    def read(record: Record) -> Any:
        top = listed(record.get("top"))
        return at(top[place - 1], name) if len(top) >= place else None

    return read


def _top(place: int) -> tuple[Column, ...]:
    index, label, score, probability = (_best(place, name) for name in ("index", "label", "score", "probability"))
    return (
        Column(f"top{place}_index", "whole", lambda record: whole(index(record))),
        Column(f"top{place}_label", "text", lambda record: text(label(record))),
        Column(f"top{place}_score", "real", lambda record: number(score(record))),
        Column(f"top{place}_probability", "real", lambda record: number(probability(record))),
    )


COLUMNS: tuple[Column, ...] = (
    _text("input", "input"),
    _text("output", "output"),
    _text("error_type", "error", "type"),
    _text("error_message", "error", "message"),
    _text("model", "model", "path"),
    _text("model_sha256", "model", "sha256"),
    _text("method", "method"),
    _whole("target_index", "target", "index"),
    _text("target_label", "target", "label"),
    _real("score", "target", "score"),
    _real("probability", "target", "probability"),
    *(_real(name, "ledger", name) for name in ("start", "pixels", "biases", "constants", "lost")),
    _real("error_share", "ledger", "error"),
    Column("lost_share", "real", lost_share),
    *(_real(name, "relevance", name) for name in ("min", "max", "negative_share", "border_share")),
    *(_real(f"seconds_{name}", "seconds", name) for name in SECONDS),
    Column("warnings", "whole", lambda record: len(listed(record.get("warnings")))),
    *(column for place in range(1, TOP + 1) for column in _top(place)),
)
