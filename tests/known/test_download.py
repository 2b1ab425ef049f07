"""Fetching from servers that break off, lie, send something else or somewhere else. All on this computer."""

from __future__ import annotations

import os
import socket
import threading

import numpy as np
import pytest

from heatcli.errors import HeatcliError, UsageError
from heatcli.known import download
from heatcli.known.cache import cached, path_of
from tests.known.answers import (
    CONTENT,
    KNOWN,
    Answer,
    broken,
    endless,
    fetched,
    kept,
    leave,
    missing,
    nothing,
    part,
    refused,
    whole,
)


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
