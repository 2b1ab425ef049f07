"""Fetching from servers that break off, lie, send something else or somewhere else. All on this computer."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest

from heatcli.errors import HeatcliError, UsageError
from heatcli.known import download
from heatcli.known.cache import cached, path_of
from heatcli.known.registry import Known
from tests.known.serving import Server, authority

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


Serve = Callable[..., "object"]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start a server that gives these answers in turn; the cache is a folder of its own."""
    monkeypatch.setenv("HEATCLI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority(tmp_path)))
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    started: list[Server] = []

    def start(*answers: Answer, secure: bool = True):
        server = Server(Handler, tmp_path, secure=secure)
        server.http.asked, server.http.answers, server.http.hung_up = [], list(answers), False
        started.append(server)
        monkeypatch.setenv("HEATCLI_ZOO_URL", f"{server.address}/zoo/")
        return server.http

    yield start
    for server in started:
        server.close()


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


def test_whole_with_progress(serve):
    server, told = serve(whole), []
    assert download.pull(KNOWN, progress=lambda *counts: told.append(counts)) == path_of(KNOWN)
    assert fetched()
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert server.asked == [("/zoo/deep/net-1.onnx", None)]
    download.pull(KNOWN)
    assert len(server.asked) == 1  # it is here


class TestGoingOn:
    def test_where_it_broke_off(self, serve):
        server = serve(broken, whole)
        download.pull(KNOWN)
        assert fetched()
        assert [asked for _, asked in server.asked] == [None, "bytes=300000-"]

    def test_in_a_later_run(self, serve):
        serve(broken, missing)
        refused("answers 404")
        assert kept() == CONTENT[:300_000]
        assert cached(KNOWN) is None
        server = serve(whole)
        download.pull(KNOWN)
        assert fetched()
        assert server.asked[0][1] == "bytes=300000-"

    def test_with_a_server_that_knows_no_ranges(self, serve):
        serve(broken, lambda handler: handler.send(CONTENT))
        download.pull(KNOWN)
        assert fetched()

    def test_with_another_part_than_asked_for(self, serve):
        def elsewhere(handler):
            handler.send(CONTENT[5:], 206, Content_Range=f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}")

        serve(broken, elsewhere, whole)
        download.pull(KNOWN)
        assert fetched()

    def test_with_a_part_that_does_not_say_which(self, serve):
        serve(broken, lambda handler: handler.send(CONTENT[300_000:], 206), whole)
        download.pull(KNOWN)
        assert fetched()

    def test_with_a_file_that_changed_meanwhile(self, serve):
        other = np.random.default_rng(1).bytes(len(CONTENT))
        serve(lambda handler: handler.send(other[:300_000], length=len(other)), whole)
        download.pull(KNOWN)  # the end of one behind the beginning of another: all is fetched anew
        assert fetched()

    def test_with_a_file_that_has_another_size_now(self, serve):
        server = serve(broken, lambda handler: whole(handler, b"more" + CONTENT))
        refused("serves another file")
        assert nothing()
        assert [asked for _, asked in server.asked][:3] == [None, "bytes=300000-", None]

    @pytest.mark.parametrize("content", [b"x" * 1000, b"x" * (len(CONTENT) + 1), b"x" * len(CONTENT)])
    def test_after_wrong_bytes(self, serve, content):
        leave(content)
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
        (endless, "serves another file"),
        (missing, "answers 404"),
        (lambda handler: handler.send(b"", 302, Location="file:///etc/passwd"), "not allowed"),
        (lambda handler: handler.send(b"", 302, Location="ftp://127.0.0.1/x"), "only https is followed"),
        (lambda handler: handler.send(b"", 302, Location="http://127.0.0.1:9/x"), "only https is followed"),
        (lambda handler: handler.send(b"", 302, Location=handler.path), "answers 302"),
        (lambda handler: handler.wfile.write(b"\x1b[2J\x07" * 9000 + b"\r\n\r\n"), "."),
    ],
    ids=[
        "pointer",
        "content",
        "says-shorter",
        "longer",
        "endless",
        "missing",
        "to-a-file",
        "to-ftp",
        "to-http",
        "in-a-circle",
        "noise",
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_left(serve, answer, reason):
    serve(answer)
    said = refused(reason)
    head, *reasons, third, last = said.split("\n")
    assert head == "net-1 could not be fetched:"
    assert len(reasons) == 2  # a line for each address
    assert all(line.startswith("  https://127.0.0.1") and len(line) < 400 for line in reasons)
    assert KNOWN.sha256 in third
    assert "HEATCLI_ZOO_URL" in last
    assert cached(KNOWN) is None
    assert nothing()


def goes_on(beginning: bytes, again: bytes) -> Answer:
    """Return what sends ``again`` without end."""

    def answer(handler):
        handler.wfile.write(beginning)
        while True:
            handler.wfile.write(again)

    return answer


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        goes_on(b"", b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" * 100),
        goes_on(CHUNKED + b"3\r\nabc\r\n0\r\n", b"X: y\r\n" * 1000),
        goes_on(CHUNKED, b"1;" + b"x" * 60_000 + b"\r\na\r\n"),
    ],
    ids=["beginnings", "ends", "sizes"],
)
def test_what_comes_around_the_file_without_end(serve, answer):
    serve(answer)
    refused("sends much more than the file")
    assert len(kept()) < 1000


def test_headers_that_come_too_slowly(serve, monkeypatch):
    monkeypatch.setattr(download, "PATIENCE", 0.0)
    serve(goes_on(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"))
    refused("is too slow")
    assert nothing()


def test_a_redirect_to_plain_http_is_not_asked(serve):
    plain = serve(whole, secure=False)
    port = plain.server_address[1]
    serve(lambda handler: handler.send(b"", 301, Location=f"http://127.0.0.1:{port}/x"))
    refused("only https is followed")
    assert not plain.asked


def test_what_comes_with_a_redirect_is_not_read(serve):
    server = serve(lambda handler: endless(handler, status=302, Location="/other"), whole)
    download.pull(KNOWN)
    assert fetched()
    assert server.hung_up or server.asked[-1][0] == "/other"


def test_a_length_that_is_too_long_does_no_harm(serve):
    serve(lambda handler: handler.send(CONTENT, length=len(CONTENT) + 50))
    download.pull(KNOWN)
    assert fetched()


def test_redirect_and_second_source(serve):
    server = serve(missing, lambda handler: handler.send(b"", 302, Location="/other"), whole)
    download.pull(KNOWN)
    assert fetched()
    assert [path for path, _ in server.asked] == ["/zoo/deep/net-1.onnx", "/zoo/net-1.onnx", "/other"]


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


class TestAddresses:
    @pytest.mark.parametrize(
        "address",
        [
            *("http://127.0.0.1:{}", "file:///etc", "ftp://127.0.0.1:{}", "127.0.0.1:{}", "https://", "https://[::1"),
            *("https://me:secret@127.0.0.1:{}/zoo", "https://127.0.0.1:{}/zoo?token=secret", "https:///zoo"),
        ],
    )
    def test_that_are_refused_and_never_asked(self, serve, monkeypatch, address):
        server = serve(whole, secure=False)
        monkeypatch.setenv("HEATCLI_ZOO_URL", address.format(server.server_address[1]))
        said = refused("HEATCLI_ZOO_URL", UsageError)
        assert "https://host/folder" in said
        assert "\n" not in said
        assert "secret" not in said
        assert not server.asked
        assert not path_of(KNOWN).parent.exists()

    def test_a_certificate_that_nobody_vouches_for(self, serve, monkeypatch):
        server = serve(whole)
        monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
        said = refused("its certificate is not trusted")
        assert "SSL_CERT_FILE" in said
        assert not server.asked

    def test_a_certificate_for_another_name(self, serve, monkeypatch):
        server = serve(whole)
        monkeypatch.setenv("HEATCLI_ZOO_URL", f"https://localhost:{server.server_address[1]}")
        refused("its certificate is not trusted")
        assert not server.asked

    def test_nobody_there(self, serve, monkeypatch):
        monkeypatch.setenv("HEATCLI_ZOO_URL", "https://127.0.0.1:9")
        assert refused("could not be fetched").count("https://127.0.0.1:9/") == 2


class TestProxies:
    def test_the_environment_names_one(self, serve, monkeypatch):
        server = serve(whole)
        asked = []
        with Tunnelling(asked) as port:
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
            download.pull(KNOWN)
        assert fetched()
        assert asked == [f"CONNECT 127.0.0.1:{server.server_address[1]}"]

    def test_and_what_goes_past_it(self, serve, monkeypatch):
        serve(whole)
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
        refused("could not be fetched")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        download.pull(KNOWN)
        assert fetched()


class TestSilence:
    """Servers that accept and then say nothing; they are listened to for a blink only, to keep the tests short."""

    @pytest.fixture(autouse=True)
    def blink(self, monkeypatch):
        monkeypatch.setattr(download, "TIMEOUT", 0.2)

    def test_before_anything(self, serve, monkeypatch):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            monkeypatch.setenv("HEATCLI_ZOO_URL", f"https://127.0.0.1:{silent.getsockname()[1]}")
            refused("gave no answer for 0.2 seconds")

    def test_after_the_first_bytes(self, serve):
        done = threading.Event()

        def pauses(handler):
            handler.send(CONTENT[:1000], length=len(CONTENT))
            handler.wfile.flush()
            done.wait(20)

        serve(pauses)
        refused("gave no answer")
        done.set()
        assert kept() == CONTENT[:1000]

    def test_a_drop_now_and_then(self, serve, monkeypatch):
        monkeypatch.setattr(download, "PATIENCE", 0.0)

        def drips(handler):
            handler.send(CONTENT[:1000], length=len(CONTENT))
            handler.wfile.flush()
            handler.connection.recv(1)

        serve(drips)
        refused(r"is too slow: [\d,]+ bytes in")


@posix
class TestTheCache:
    def test_is_for_its_owner_alone(self, serve, tmp_path):
        serve(broken, missing)
        before = os.umask(0)
        try:
            refused("404")
            modes = [stat.S_IMODE(path.stat().st_mode) for path in (part(), part().parent, tmp_path / "home")]
        finally:
            os.umask(before)
        assert modes == [0o600, 0o700, 0o700]

    @pytest.mark.parametrize(("folder", "file"), [(0o700, 0o600), (0o755, 0o644), (0o750, 0o640)])
    def test_files_are_for_those_who_may_read_the_folder(self, serve, folder, file):
        part().parent.chmod(folder)
        serve(whole)
        assert stat.S_IMODE(download.pull(KNOWN).stat().st_mode) == file

    def test_where_everybody_may_write(self, serve):
        part().parent.chmod(0o777)
        server = serve(whole)
        refused("everybody on this computer may write into this cache; chmod o-w")
        assert not server.asked

    def test_that_cannot_be_made(self, serve, monkeypatch, tmp_path):
        (tmp_path / "file").write_bytes(b"")
        monkeypatch.setenv("HEATCLI_HOME", str(tmp_path / "file"))
        serve(whole)
        assert "\n" not in refused("the cache cannot be made .*HEATCLI_HOME names another folder")

    def test_a_link_in_place_of_the_model_is_replaced_and_not_followed(self, serve, tmp_path):
        victim = tmp_path / "victim"
        victim.write_bytes(b"precious")
        part().parent.joinpath("net-1.onnx").symlink_to(victim)
        serve(whole)
        download.pull(KNOWN)
        assert fetched()
        assert victim.read_bytes() == b"precious"
        assert not path_of(KNOWN).is_symlink()

    @pytest.mark.parametrize("kind", ["link", "dangling", "hard", "folder", "pipe", "open to all"])
    def test_what_was_planted_in_place_of_a_beginning(self, serve, tmp_path, kind):
        victim = tmp_path / "victim"
        victim.write_bytes(CONTENT[:1000])
        if kind == "link":
            part().symlink_to(victim)
        elif kind == "dangling":
            part().symlink_to(tmp_path / "made by us")
        elif kind == "hard":
            part().hardlink_to(victim)
        elif kind == "folder":
            part().mkdir()
        elif kind == "pipe":
            os.mkfifo(part())
        else:
            leave(CONTENT[:1000], mode=0o666)
        server = serve(whole)
        download.pull(KNOWN)
        assert fetched()
        assert server.asked == [("/zoo/deep/net-1.onnx", None)]  # nothing of it was gone on with
        assert victim.read_bytes() == CONTENT[:1000]
        assert not (tmp_path / "made by us").exists()

    def test_a_folder_in_place_of_the_model(self, serve):
        path_of(KNOWN).mkdir(parents=True)
        serve(whole)
        refused("net-1.onnx: cannot be put in place")

    def test_a_full_disk_ends_it_at_once(self, serve, monkeypatch):
        server = serve(whole)

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        assert "\n" not in refused("cannot be written .No space left on device.")
        assert len(server.asked) == 1

    def test_a_file_that_was_changed_is_fetched_again(self, serve):
        part()
        path_of(KNOWN).write_bytes(bytes(len(CONTENT)))
        with pytest.raises(HeatcliError, match=r"is not the file of net-1 any more.*--offline"):
            download.pull(KNOWN, offline=True)
        serve(whole)
        download.pull(KNOWN)
        assert fetched()


def test_two_at_once(serve):
    server = serve(whole)
    within = []

    def second(here: int, total: int) -> None:
        if not within:
            within.append(1)
            download.pull(KNOWN)

    download.pull(KNOWN, progress=second)
    assert fetched()
    assert [asked for _, asked in server.asked] == [None, None]  # each for itself


def test_two_at_once_of_which_one_fails(serve):
    serve(broken, missing)

    def second(here: int, total: int) -> None:
        if here == 300_000:
            refused("404")

    with pytest.raises(HeatcliError, match="404"):
        download.pull(KNOWN, progress=second)
    assert [path.name for path in part().parent.iterdir()] == ["net-1.onnx.part"]
    assert kept() == CONTENT[:300_000]


def test_offline(serve):
    server = serve(whole)
    with pytest.raises(HeatcliError, match="--offline"):
        download.pull(KNOWN, offline=True)
    assert not server.asked
    assert not path_of(KNOWN).parent.exists()


class Tunnelling:
    """A proxy that opens tunnels and notes who asked for where; yields its port."""

    def __init__(self, asked: list[str]) -> None:
        self.asked = asked

    def __enter__(self) -> int:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()
        return self.listener.getsockname()[1]

    def __exit__(self, *_: object) -> None:
        self.thread.join(20)
        self.listener.close()

    def _serve(self) -> None:
        near, _ = self.listener.accept()
        with near:
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += near.recv(4096)
            line = request.split(b" HTTP/")[0].decode()
            self.asked.append(line)
            host, _, port = line.split()[1].partition(":")
            with socket.create_connection((host, int(port))) as far:
                near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=_pour, args=(far, near))
                back.start()
                _pour(near, far)
                back.join(20)


def _pour(source: socket.socket, sink: socket.socket) -> None:
    try:
        while block := source.recv(1 << 16):
            sink.sendall(block)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
