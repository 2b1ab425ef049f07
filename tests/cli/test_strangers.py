"""What strangers named is shown on a terminal and never obeyed: files, labels, nodes, producers, metadata, records."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import PIL.Image
import pytest

from tests import terminal
from tests.cli.conftest import Done, classifier

Run = Callable[..., Done]
SEEN = "\\x1b[2J\\x1b]0;t\\x07\\u202e\\u200b[bold]\\x9b5n\\x7f"
EVIL = "\x1b[2J\x1b]0;t\x07\u202e\u200b[bold]\x9b5n\x7f"
LINE = "\nheatcli: all is well"
OWN = re.compile(r"\x1b\[(?:[0-9;]*m|\?25[lh]|2K|1A)|\r")
"""What rich itself writes on a terminal: colours, its bars."""
HERE = """
import json, sys
from heatcli.cli import main
for arguments in json.loads(sys.argv[1]):
    print(f"### {main(arguments)}", flush=True)
"""


def harmless(text: str) -> bool:
    """Whether there is nothing in ``text`` that a terminal obeys, or that cannot be seen."""
    return not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202e]", text) and "\nheatcli: all is well" not in text


@pytest.fixture
def strange(place: Path) -> Path:
    """A network, labels and pictures with such names, in the current folder."""
    model = classifier()
    names = {name for node in model.graph.node for name in (*node.input, *node.output)} - {"x"}
    for node in model.graph.node:
        for names_of in (node.input, node.output):
            names_of[:] = [name + EVIL + LINE if name in names else name for name in names_of]
    for entry in (*model.graph.initializer, *model.graph.output):
        entry.name += EVIL + LINE
    model.producer_name = f"me{EVIL}{LINE}"
    model.metadata_props.add(key=f"key{EVIL}{LINE}", value=f"value{EVIL}{LINE}")
    onnx.save(model, place / f"net{EVIL}.onnx")
    (place / "words.json").write_text(json.dumps([f"{number}{EVIL}{LINE}" for number in range(4)]), "utf-8")
    pictures = place / f"in{EVIL}"
    pictures.mkdir()
    for number in range(2):
        PIL.Image.open(place / "photos" / "a.png").save(pictures / f"p{number}{EVIL}{LINE}.png")
    (pictures / f"bad{EVIL}{LINE}.png").write_bytes(b"none")
    return place


def on_a_terminal(*commands: tuple[str, ...]) -> list[tuple[int, str]]:
    """Return the exit code of every command, and what it showed on both streams; they run in one process."""
    raw = terminal.shown([sys.executable, "-c", HERE, json.dumps(commands)], 250)
    parts = re.split(r"### (\d+)\n", OWN.sub("", raw))
    return [(int(code), text) for text, code in zip(parts[::2], parts[1::2], strict=False)]


def test_on_a_terminal_all_of_it_is_seen(strange: Path) -> None:
    net, pictures, one = f"net{EVIL}.onnx", f"in{EVIL}", f"in{EVIL}/p0{EVIL}{LINE}.png"
    given = ("-m", net, "--preprocess", "unit", "--labels", "words.json")
    shown = on_a_terminal(
        ("inspect", net, "--labels", "words.json", "-v"),
        ("inspect", net, "--labels", "words.json", "--json"),
        ("explain", one, *given, "-o", f"one{EVIL}.png", "-v"),
        ("explain", pictures, *given, "-o", f"maps{EVIL}", "--workers", "threads", "-v"),
        ("explain", pictures, *given, "-o", "again", "--workers", "threads", "--json", "-q"),
        ("report", f"maps{EVIL}", "-v"),
        ("compare", pictures, *given, "-o", f"sheet{EVIL}.png", "-v"),
        ("compare", pictures, *given, "-o", "other.png", "--json", "-q"),
        ("evaluate", pictures, *given, "--checks", "conservation,sanity", "-v", "--jobs", "1"),
        ("fit", net, "--images", pictures, "--labels", "words.json", "--preprocess", "unit", "--epochs", "2", "-v"),
        ("models", "describe", net, "--labels", "words.json", "--check", one, "--expect", "2", "-o", f"s{EVIL}.json"),
        ("compile", net, "-o", f"c{EVIL}.onnx", "--preprocess", "unit"),
        ("explain", one, *given, "--method", "occlusion", "--window", "8", "-o", "o.png"),
    )
    for place, (_, text) in enumerate(shown):
        assert harmless(text), (place, text)
    codes = [code for code, _ in shown]
    assert codes[:2] == [0, 0]
    assert {*codes} <= {0, 1}
    for place, (code, text) in enumerate(shown):
        if code == 0:
            assert SEEN[:12] in text or "\\u001b[2J" in text, (place, text)
    inspected, explained, failures = shown[0][1], shown[2][1], shown[3][1]
    for what in ("net", "me", "conv", "0", "key", "value"):
        assert what + SEEN[:20] in inspected
    assert f"in{SEEN}/p0{SEEN}\\nheatcli: all is well.png" in explained
    assert f"one{SEEN}.png" in explained
    assert f"heatcli: in{SEEN}/bad{SEEN}\\nheatcli: all is well.png: not a picture" in failures


@pytest.mark.parametrize(
    "command",
    [
        ("explain", f"no{EVIL}{LINE}.png", "-m", "net.onnx"),
        ("explain", "photos/a.png", "-m", f"no{EVIL}{LINE}.onnx"),
        ("explain", "photos/a.png", "-m", "net.onnx", f"--preprocess=un{EVIL}{LINE}"),
        ("explain", "photos/a.png", "-m", "net.onnx", "--target", f"cat{EVIL}{LINE}"),
        ("explain", "photos/a.png", "-m", "net.onnx", "--labels", f"no{EVIL}{LINE}"),
        ("explain", "photos/a.png", "-m", "net.onnx", "--rule", f"x{EVIL}{LINE}=z+"),
        ("explain", "photos/a.png", "-m", "net.onnx", "--fit", f"x{EVIL}{LINE}"),
        ("explain", "photos/a.png", "-m", "net.onnx", f"--x{EVIL}{LINE}"),
        ("explain", "photos/a.png", "-m", "net.onnx", "-o", f"x{EVIL}{LINE}.gif"),
        ("explain", "photos", "-m", "net.onnx", "--limit", f"x{EVIL}{LINE}=3"),
        (f"ex{EVIL}{LINE}",),
        ("inspect", f"no{EVIL}{LINE}.onnx", "--debug"),
        ("models", "pull", f"no{EVIL}{LINE}"),
        ("report", f"no{EVIL}{LINE}"),
        ("evaluate", "photos", "-m", "net.onnx", "--boxes", f"no{EVIL}{LINE}"),
        ("fit", "net.onnx", "--images", f"no{EVIL}{LINE}"),
    ],
    ids=lambda command: " ".join(part for part in command if EVIL not in part) or "command",
)
def test_errors_about_it_are_text(heatcli: Run, command: tuple[str, ...]) -> None:
    done = heatcli(*command)
    assert done.code in (1, 2, 3)
    assert done.out == ""
    assert harmless(done.err), done.err
    assert "\\x1b[2J" in done.err or "\\u001b" in done.err


def test_piped_paths_keep_their_bytes(strange: Path, heatcli: Run) -> None:
    target = f"one{EVIL}{LINE}.png"
    done = heatcli("explain", "photos/a.png", "-m", f"net{EVIL}.onnx", "-o", target)
    assert (done.code, done.out) == (0, f"{target}\n")
    assert harmless(done.err)


def test_json_says_the_same_in_escapes(strange: Path, heatcli: Run) -> None:
    one = f"in{EVIL}/p0{EVIL}{LINE}.png"
    done = heatcli("explain", one, "-m", f"net{EVIL}.onnx", "--labels", "words.json", "--json", "-o", "x.png")
    record = json.loads(done.out)
    assert record["input"] == one
    assert EVIL in record["target"]["label"]
    assert record["model"]["producer"] == f"me{EVIL}{LINE}"
    assert harmless(done.out)


def test_names_in_captions_are_spelled_out(strange: Path) -> None:
    from heatcli.pictures.lettering import legible

    assert legible(f"p0{EVIL}{LINE}") == f"p0{SEEN}\\nheatcli: all is well"


def test_completion_offers_no_escapes(place: Path) -> None:
    words = subprocess.run(
        [sys.executable, "-m", "heatcli"],
        env={**os.environ, "_HEATCLI_COMPLETE": "complete_bash", "COMP_WORDS": f"heatcli ex{EVIL}", "COMP_CWORD": "1"},
        capture_output=True,
        check=False,
    )
    assert b"\x1b" not in words.stdout
