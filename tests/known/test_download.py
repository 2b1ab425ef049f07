"""Fetching from servers that break off, lie, send something else or somewhere else. All on this computer."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from heatcli.errors import HeatcliError
from heatcli.known import download
from heatcli.known.cache import cached, path_of
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


def whole(handler: Handler) -> None:
    """Send what was asked for, from where it was asked for."""
    start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
    if not start:
        handler.send(CONTENT)
    elif start >= len(CONTENT):
        handler.send(b"", 416)
    else:
        span = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        handler.send(CONTENT[start:], 206, Content_Range=span)


def broken(handler: Handler) -> None:
    handler.send(CONTENT[:300_000], length=len(CONTENT))


def missing(handler: Handler) -> None:
    handler.send(b"no", 404)


@pytest.fixture
def serve(tmp_path, monkeypatch) -> Iterator[Callable[..., ThreadingHTTPServer]]:
    """Start a server that gives these answers in turn; the cache is a folder of its own."""
    monkeypatch.setenv("HEATCLI_HOME", str(tmp_path))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    started = []

    def start(*answers: Answer) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.asked, server.answers = [], list(answers)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        started.append((server, thread))
        monkeypatch.setenv("HEATCLI_ZOO_URL", f"http://127.0.0.1:{server.server_port}/zoo/")
        return server

    yield start
    for server, thread in started:
        server.shutdown()
        server.server_close()
        thread.join()


def fetched() -> bool:
    """Whether the right file is in place and nothing else lies beside it."""
    path = path_of(KNOWN)
    return path.read_bytes() == CONTENT and list(path.parent.iterdir()) == [path]


def kept() -> bytes:
    path = path_of(KNOWN)
    part = path.with_name(f"{path.name}.part")
    return part.read_bytes() if part.exists() else b""


def test_whole_with_progress(serve):
    server, told = serve(whole), []
    assert download.pull(KNOWN, progress=lambda *counts: told.append(counts)) == path_of(KNOWN)
    assert fetched()
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert server.asked == [("/zoo/deep/net-1.onnx", None)]
    download.pull(KNOWN)
    assert len(server.asked) == 1  # it is here


def test_goes_on_where_it_broke_off(serve):
    server = serve(broken, whole)
    download.pull(KNOWN)
    assert fetched()
    assert [asked for _, asked in server.asked] == [None, "bytes=300000-"]


def test_a_later_run_goes_on(serve):
    serve(broken, missing)
    with pytest.raises(HeatcliError):
        download.pull(KNOWN)
    assert kept() == CONTENT[:300_000]
    assert cached(KNOWN) is None
    server = serve(whole)
    download.pull(KNOWN)
    assert fetched()
    assert server.asked[0][1] == "bytes=300000-"


def test_a_server_that_knows_no_ranges(serve):
    serve(broken, lambda handler: handler.send(CONTENT))
    download.pull(KNOWN)
    assert fetched()


def test_another_part_than_asked_for(serve):
    def elsewhere(handler):
        handler.send(CONTENT[5:], 206, Content_Range=f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}")

    serve(broken, elsewhere, whole)
    download.pull(KNOWN)
    assert fetched()


def test_a_kept_part_with_wrong_bytes_is_fetched_anew(serve):
    path = path_of(KNOWN)
    path.parent.mkdir(parents=True)
    path.with_name(f"{path.name}.part").write_bytes(b"x" * 1000)
    serve(whole)
    download.pull(KNOWN)
    assert fetched()


def test_a_kept_part_that_is_too_long_is_fetched_anew(serve):
    path = path_of(KNOWN)
    path.parent.mkdir(parents=True)
    path.with_name(f"{path.name}.part").write_bytes(b"x" * (len(CONTENT) + 1))
    serve(whole)
    download.pull(KNOWN)
    assert fetched()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda handler: handler.send(b"version https://git-lfs"), "serves a file of 23 bytes, not of 700,000"),
        (lambda handler: handler.send(CONTENT[:-1] + b"?"), "serves another file"),
        (lambda handler: handler.send(CONTENT, length=100), "serves a file of 100 bytes"),
        (lambda handler: handler.send(bytes(len(CONTENT)) * 2), "serves another file"),
        (missing, "answers 404"),
        (lambda handler: handler.send(b"", 302, Location="file:///etc/passwd"), "not allowed"),
        (lambda handler: handler.send(b"", 302, Location=handler.path), "answers 302"),
    ],
    ids=["pointer", "content", "says-shorter", "endless", "missing", "to-a-file", "in-a-circle"],
)
def test_what_is_wrong_is_said_and_never_used(serve, answer, reason):
    serve(answer)
    with pytest.raises(HeatcliError, match=reason) as caught:
        download.pull(KNOWN)
    assert str(caught.value).count("127.0.0.1") >= 2  # both addresses
    assert KNOWN.sha256 in str(caught.value)
    assert cached(KNOWN) is None
    assert not kept()


def test_a_length_that_is_too_long_does_no_harm(serve):
    serve(lambda handler: handler.send(CONTENT, length=len(CONTENT) + 50))
    download.pull(KNOWN)
    assert fetched()


def test_redirect_and_second_source(serve):
    server = serve(missing, lambda handler: handler.send(b"", 302, Location="/other"), whole)
    download.pull(KNOWN)
    assert fetched()
    assert [path for path, _ in server.asked] == ["/zoo/deep/net-1.onnx", "/zoo/net-1.onnx", "/other"]


def test_never_from_https_to_http():
    request = download.Request("https://127.0.0.1/x")
    with pytest.raises(download.URLError, match="not followed"):
        download._Redirects().redirect_request(request, open("/dev/null", "rb"), 302, "", {}, "http://127.0.0.1/x")  # noqa: PTH123, SIM115


def test_interrupted(serve):
    serve(whole)

    def stop(here: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download.pull(KNOWN, progress=stop)
    assert cached(KNOWN) is None
    assert CONTENT.startswith(kept())
    download.pull(KNOWN)
    assert fetched()


def test_offline(serve):
    server = serve(whole)
    with pytest.raises(HeatcliError, match="--offline"):
        download.pull(KNOWN, offline=True)
    assert not server.asked


def test_nobody_answers(serve, monkeypatch):
    serve(whole)
    monkeypatch.setenv("HEATCLI_ZOO_URL", "http://127.0.0.1:9")
    with pytest.raises(HeatcliError, match="could not be fetched"):
        download.pull(KNOWN)
    monkeypatch.setenv("HEATCLI_ZOO_URL", "ftp://127.0.0.1:9")
    with pytest.raises(HeatcliError, match="no http or https"):
        download.pull(KNOWN)
