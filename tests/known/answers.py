"""What servers answer in the tests, and what of it is in the cache then."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest

from heatcli.errors import HeatcliError
from heatcli.known import download
from heatcli.known.cache import path_of
from heatcli.known.registry import Known

CONTENT = np.random.default_rng(0).bytes(700_000)
KNOWN = Known(
    name="net-1",
    aliases=("net",),
    family="net",
    path="deep/net-1.onnx",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    size=len(CONTENT),
    classes=10,
    settings={},
)
PROXIES = tuple(f"{kind}_proxy" for kind in ("http", "https", "all", "no"))
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions, links and locks")
Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each request by the next of the server's answers; the last one goes on."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        answers = self.server.answers
        self.close_connection = True
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def send(self, body: bytes, status: int = 200, *, length: int | None = None, **headers: str):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def whole(handler: Handler, content: bytes = CONTENT) -> None:
    """Send what was asked for, from where it was asked for."""
    start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
    if not start:
        handler.send(content)
    elif start >= len(content):
        handler.send(b"", 416)
    else:
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.send(content[start:], 206, Content_Range=span)


def broken(handler: Handler) -> None:
    handler.send(CONTENT[:300_000], length=len(CONTENT))


def missing(handler: Handler) -> None:
    handler.send(b"no", 404)


def endless(handler: Handler, *, status: int = 200, **headers: str) -> None:
    """Send more and more, in pieces, until whoever asked hangs up."""
    handler.send_response(status)
    for name, value in {"Transfer-Encoding": "chunked", **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    piece = bytes(1 << 16)
    with pytest.raises(OSError):  # noqa: PT011 - one of many ways to learn that nobody listens
        for _ in range(1 << 14):  # a gigabyte
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    handler.server.hung_up = True


def fetched() -> bool:
    """Whether the right file is in place and nothing else lies beside it."""
    path = path_of(KNOWN)
    return path.read_bytes() == CONTENT and list(path.parent.iterdir()) == [path]


def nothing() -> bool:
    """Whether the cache is empty, of beginnings too."""
    return not list(path_of(KNOWN).parent.iterdir())


def part() -> Path:
    path = path_of(KNOWN)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f"{path.name}.part")


def kept() -> bytes:
    return part().read_bytes() if part().exists() else b""


def leave(content: bytes, mode: int = 0o600) -> None:
    """Leave ``content`` as an earlier run would have."""
    part().write_bytes(content)
    part().chmod(mode)


def refused(match: str, kind: type[HeatcliError] = HeatcliError) -> str:
    with pytest.raises(kind, match=match) as caught:
        download.pull(KNOWN)
    return str(caught.value)
