"""Count what an ONNX file holds before it is parsed: objects take far more memory than the bytes that stand for them.

A file of protocol buffers is a row of fields: a number, a kind, a content; some contents are rows of fields again. This
walks through them, in the schema that the onnx package has, and looks at no more than lengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import onnx

from heatcli.errors import UnreadableModel
from heatcli.limits import Limits, amount

FIELDS, FEW_FIELDS = 40, 100_000
"""Fields that a node may have on average, names and attributes among them, and how many a file may have anyway.

Exporters write ten to thirty a node, more where nearly every operation has constants of its own.
"""
NAMES = 2000
"""Bytes of names that a node may have on average: they are copied and compared again and again."""
DEEPEST = 12
"""How many graphs may lie inside each other."""
BROKEN = "cannot be read as an ONNX model (it is another kind of file, or cut short); check it, or download it again"
LARGEST = (1 << 31) - 1
"""Bytes of one message that protocol buffers can hold."""
LONGEST_VARINT = 10
"""Bytes of a number of 64 bits, seven a byte."""
VARINT, EIGHT, LENGTH, FOUR = 0, 1, 2, 5
TEXT, NUMBERS, BYTES = "text", "numbers", "bytes"
FREE_TEXT = frozenset({"doc_string"})
"""Text that nothing here reads."""
NOT_NAMES = frozenset({"StringStringEntryProto"})
"""Messages whose text is metadata, which is looked at once if at all."""

Schema = dict[int, Any]
"""For each field that holds a row of bytes: the name of the message, or what else it is."""


@dataclass(frozen=True)
class Survey:
    """How many ``nodes``, ``graphs`` and ``fields`` a file has, and the bytes that its ``weights`` take in memory."""

    nodes: int
    graphs: int
    fields: int
    weights: int


def survey(content: bytes, limits: Limits) -> Survey:
    """Return what ``content``, the bytes of a model file, holds.

    Raises UnreadableModel where it is no such file, holds more than ``limits`` allow, graphs more than 12 deep, or a
    name that is no text.
    """
    schemas, most_nodes, most_fields, most_weights = (
        _schemas(),
        limits.nodes,
        FEW_FIELDS + FIELDS * limits.nodes,
        limits.weights,
    )
    counted = nodes = graphs = weights = names = 0
    length = len(content)
    pending = [(0, length, "ModelProto", 0)]
    while pending:
        at, end, message, depth = pending.pop()
        if message == "GraphProto":
            graphs += 1
            depth += 1
            if depth > DEEPEST:
                raise UnreadableModel(f"has graphs inside graphs, more than {DEEPEST} deep; no classifier needs that")
        schema = schemas[message]
        while at < end:
            counted += 1
            if counted > most_fields:
                raise UnreadableModel(
                    f"has more than {most_fields:,} names, attributes and the like; {most_nodes:,} nodes are accepted, "
                    f"which have less; {limits.raised('nodes', 2 * most_nodes)}"
                )
            key = content[at]
            at += 1
            if key >= 128:
                key, at = _varint(content, at - 1, end)
            if key < 8:  # there is no field 0
                raise UnreadableModel(BROKEN)
            kind = key & 7
            if kind == LENGTH:
                if at >= end:
                    raise UnreadableModel(BROKEN)
                size = content[at]
                at += 1
                if size >= 128:
                    size, at = _varint(content, at - 1, end)
                after = at + size
                if after > end:
                    raise UnreadableModel(BROKEN)
                holds = schema.get(key >> 3)
                if holds is None or holds is BYTES:
                    weights += size
                elif holds is TEXT:
                    if message not in NOT_NAMES:
                        names += size
                        if names > NAMES * most_nodes:
                            raise UnreadableModel(
                                f"has more than {amount(NAMES * most_nodes)} bytes of names; "
                                f"{limits.raised('nodes', 2 * most_nodes)}"
                            )
                    part = content[at:after]
                    if not part.isascii():
                        _check_text(part, message)
                elif holds is NUMBERS:
                    weights += size if message == "TensorProto" and key >> 3 in (4, 10) else 8 * size
                else:
                    pending.append((at, after, holds, depth))
                    if holds == "NodeProto":
                        nodes += 1
                        if nodes > most_nodes:
                            raise UnreadableModel(
                                f"has more than the {most_nodes:,} nodes that are accepted; "
                                f"{limits.raised('nodes', 2 * most_nodes)}"
                            )
                at = after
            elif kind == VARINT:
                last = at + LONGEST_VARINT
                while at < end and content[at] >= 128 and at < last:
                    at += 1
                at += 1
                if at > last:
                    raise UnreadableModel(BROKEN)
            elif kind == FOUR:
                at += 4
            elif kind == EIGHT:
                at += 8
            else:  # groups, which ONNX never had, or no protocol buffers at all
                raise UnreadableModel(BROKEN)
        if at != end:
            raise UnreadableModel(BROKEN)
        if weights > most_weights:
            raise UnreadableModel(
                f"holds constants of {amount(weights)} bytes; {amount(most_weights)} are accepted; "
                f"{limits.raised('weights', weights)}"
            )
    return Survey(nodes, graphs, counted, weights)


def _varint(content: bytes, at: int, end: int) -> tuple[int, int]:
    """Return the number of seven bits a byte that begins at ``at``, and where it ends."""
    value = shift = 0
    while at < end and shift < 7 * LONGEST_VARINT:
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise UnreadableModel(BROKEN)


def _check_text(part: bytes, message: str) -> None:
    try:
        part.decode("utf-8")
    except UnicodeDecodeError:
        raise UnreadableModel(
            f"has a name that is no text in UTF-8 ({part[:40]!r}, in a {message}); export it again"
        ) from None


@cache
def _schemas() -> dict[str, Schema]:
    """Return the schema of every message that a model can hold, by the name of the message."""
    found: dict[str, Schema] = {}
    pending = [onnx.ModelProto.DESCRIPTOR]
    while pending:
        message = pending.pop()
        if message.name in found:
            continue
        schema = found[message.name] = {}
        for field in message.fields:
            if field.message_type is not None:
                schema[field.number] = field.message_type.name
                pending.append(field.message_type)
            elif field.type == field.TYPE_STRING:
                schema[field.number] = BYTES if field.name in FREE_TEXT else TEXT
            else:
                schema[field.number] = BYTES if field.type == field.TYPE_BYTES else NUMBERS
    return found
