"""A server for every test that asks for one, and a cache of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.known.answers import PROXIES, Answer, Handler
from tests.known.serving import Server, authority

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
