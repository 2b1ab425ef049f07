"""``heatcli models``, as a user types it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from heatcli.known import registry
from heatcli.known.cache import path_of


def test_list(heatcli, monkeypatch, tmp_path):
    monkeypatch.setenv("HEATCLI_HOME", str(tmp_path / "home"))
    done = heatcli("models", "list")
    assert done.code == 0
    header, *rows = done.out.splitlines()
    assert header.split() == ["name", "size", "classes", "preprocessing", "cached"]
    assert {row.split()[0] for row in rows} == {alias for known in registry.models() for alias in known.aliases}
    assert max(map(len, done.out.splitlines())) <= 80
    assert str(tmp_path / "home") in done.err
    assert len(heatcli("models", "list", "--all").out.splitlines()) == len(registry.models()) + 1


def test_list_as_json(heatcli, monkeypatch, tmp_path):
    monkeypatch.setenv("HEATCLI_HOME", str(tmp_path / "home"))
    entries = {entry["name"]: entry for entry in json.loads(heatcli("models", "list", "--json").out)}
    assert entries["googlenet-12"]["preprocessing"] == {"preprocess": "caffe"}
    assert entries["googlenet-12"]["path"] is None


def test_path_and_pull(heatcli, monkeypatch, tmp_path):
    monkeypatch.setenv("HEATCLI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HEATCLI_ZOO_URL", "https://127.0.0.1:9")
    missing = heatcli("models", "path", "mnist")
    assert (missing.code, missing.out) == (1, "")
    assert "heatcli models pull mnist" in missing.err
    assert heatcli("models", "pull", "mnist", "--offline").code == 1
    failed = heatcli("models", "pull", "mnist")
    assert failed.code == 1
    assert failed.err.count("https://127.0.0.1:9/") == 2
    known = registry.find("mnist")
    path_of(known).parent.mkdir(parents=True, exist_ok=True)
    path_of(known).write_bytes(content := bytes(known.size))
    changed = heatcli("models", "path", "mnist")
    assert (changed.code, changed.out) == (1, "")
    assert "is not the file of mnist-12 any more" in changed.err
    genuine = replace(known, sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(registry, "find", lambda name: genuine)
    assert heatcli("models", "path", "mnist").out.strip() == str(path_of(known))


def test_a_file_in_the_cache_that_was_changed_is_not_used(heatcli, place, monkeypatch, tmp_path):
    monkeypatch.setenv("HEATCLI_HOME", str(tmp_path / "home"))
    known = registry.find("mnist")
    path_of(known).parent.mkdir(parents=True)
    content = (place / "net.onnx").read_bytes()
    path_of(known).write_bytes(content + bytes(known.size - len(content)))
    done = heatcli("inspect", "mnist")
    assert (done.code, done.out) == (3, "")
    assert "is not the file of mnist-12 any more (its sha256 is another)\n`heatcli models pull mnist-12`" in done.err


def test_other_servers_than_https_are_refused(heatcli, monkeypatch, tmp_path):
    monkeypatch.setenv("HEATCLI_HOME", str(tmp_path / "home"))
    for address in ("http://127.0.0.1:9/zoo", "file:///tmp"):
        monkeypatch.setenv("HEATCLI_ZOO_URL", address)
        done = heatcli("models", "pull", "mnist")
        assert (done.code, done.out) == (2, "")
        assert done.err == (
            f"heatcli: HEATCLI_ZOO_URL={address}: models are fetched over https only; "
            "give an address such as https://host/folder\n"
        )


def test_unknown_and_missing(heatcli, monkeypatch, tmp_path):
    monkeypatch.setenv("HEATCLI_HOME", str(tmp_path / "home"))
    assert heatcli("models", "pull", "nonet").code == 2
    done = heatcli("explain", "photos/a.png", "--model", "squeezenet")
    assert done.code == 2
    assert "heatcli models pull squeezenet" in done.err


def test_a_missing_model_is_offered_on_a_terminal(place, monkeypatch, tmp_path):
    from heatcli.cli import fetching

    class Terminal:
        def isatty(self):
            return True

    monkeypatch.setenv("HEATCLI_HOME", str(tmp_path / "home"))
    asked, fetched = [], []
    answers = [False, True]
    monkeypatch.setattr(fetching.sys, "stdin", Terminal())
    monkeypatch.setattr(fetching.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(fetching.typer, "confirm", lambda question, **_: asked.append(question) or answers.pop(0))
    monkeypatch.setattr(fetching, "fetch", lambda known, console: fetched.append(known.name))
    fetching.offer("net.onnx")
    assert not asked
    fetching.offer("mnist")
    assert (len(asked), fetched) == (1, [])
    fetching.offer("mnist")
    assert fetched == ["mnist-12"]
    assert "26.1 kB" in asked[0]
