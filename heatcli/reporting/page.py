"""Fills the page: one HTML file that needs no other, and no network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from typing import Any, BinaryIO

from heatcli.reporting.thumbnails import Missing, Thumbnail

CHUNK = 64
"""So many images stand in one element, which the browser parses when one of them is shown."""
POLICY = (
    "default-src 'none'; img-src data: 'self'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Nothing is fetched but files of the page's own place, and no text can become a script or markup."""
ESCAPED = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029", "\x7f": "\\u007f"}
)


def write_page(stream: BinaryIO, data: dict[str, Any], images: Iterable[Thumbnail | Missing]) -> None:
    """Write the page to ``stream``: first what it shows, then ``images`` as they come."""
    style, script = _part("page.css"), _part("page.js")
    policy = POLICY.format(style=_sha256(style), script=_sha256(script))
    head, tail = _part("page.html").split("<!-- images -->")
    filled = {
        "policy": escape(policy),
        "title": escape(f"{data['model']['name']} – heatcli"),
        "style": style,
        "data": script_json({**data, "chunk": CHUNK}),
        "script": script,
    }
    for name, text in filled.items():
        before, _, head = head.partition(f"<!-- {name} -->")
        stream.write(_utf8(before + text))
    stream.write(_utf8(head))
    chunk: list[Any] = []
    number = 0
    for image in images:
        chunk.append(_entry(image))
        if len(chunk) == CHUNK:
            stream.write(_element(number, chunk))
            number += 1
            chunk.clear()
    if chunk:
        stream.write(_element(number, chunk))
    stream.write(_utf8(tail))


def _entry(image: Thumbnail | Missing) -> Any:
    """Return an image as the script reads it: its own width and height and the small one, or why there is none."""
    if isinstance(image, Missing):
        return image.reason
    return [image.width, image.height, base64.b64encode(image.webp).decode("ascii")]


def _element(number: int, chunk: list[Any]) -> bytes:
    return _utf8(f'<script type="application/json" id="images-{number}">{script_json(chunk)}</script>\n')


def _part(name: str) -> str:
    return files("heatcli.reporting").joinpath(name).read_text("utf-8").replace("\r\n", "\n")


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(_utf8(text)).digest()).decode("ascii")


def _utf8(text: str) -> bytes:
    return text.encode("utf-8")


def script_json(value: Any) -> str:
    """Return ``value`` as JSON that can stand in a script element: nothing in it ends the element."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(ESCAPED)
