"""Every reader of a file that may come from a stranger: regular files only, within bounds, and errors in one line."""

from __future__ import annotations

import json
import os
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import PIL.Image
import pytest

import heatcli
from heatcli import opening
from heatcli.errors import HeatcliError, PictureError, UsageError
from heatcli.evaluation.annotations import read_boxes
from heatcli.fitting.pictures import stacked
from heatcli.inputs import constants
from heatcli.network.layers import InputSpec
from heatcli.opening import Irregular, TooLarge
from heatcli.pictures.facts import from_config, from_metadata, read_sidecar
from heatcli.pictures.labels import labels_from_metadata, read_labels
from heatcli.pictures.reading import read_picture
from heatcli.pictures.tensors import read_tensor
from heatcli.relevance import stored
from tests.whole import End, f, node, save

SPEC = InputSpec("x", (1, 4), "float32", "flat")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.onnx"
    nodes = [node("Conv", "x k", "c"), node("GlobalAveragePool", "c", "m"), node("Flatten", "m", "y")]
    return save(path, nodes, [End("x", [1, 3, "h", "w"])], [End("y", [1, 5])], {"k": f(5, 3, 3, 3)})


def relevance_models(path: Path) -> object:
    nodes = [node("Gemm", "x v", "y")]
    model = save(path.with_name("n.onnx"), nodes, [End("x", [1, 4])], [End("y", [1, 5])], {"v": f(4, 5)})
    explainer = heatcli.load(model)
    return stored.read(path, explainer.network, explainer.model.sha256)


READERS: dict[str, Callable[[Path], object]] = {
    "picture": read_picture,
    "tensor": read_tensor,
    "input": lambda path: constants({"mask": path}),
    "labels": lambda path: read_labels(path, 5),
    "boxes": read_boxes,
    "relevance models": relevance_models,
    "json": opening.read_json,
}


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("what", ["pipe", "link to a pipe", "device", "folder", "nothing", "closed"])
def test_only_regular_files_are_read(tmp_path, kind, what):
    """Opening a named pipe would wait for someone to write into it."""
    path = tmp_path / ("x.json" if kind == "boxes" else "x.npy")
    if "pipe" in what:
        if not hasattr(os, "mkfifo"):
            pytest.skip("this system has no named pipes")
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to(tmp_path / "pipe")
    elif what == "device":
        path.symlink_to("/dev/zero")
    elif what == "folder":
        path.mkdir()
    elif what == "closed":
        path.write_bytes(b"{}")
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("this user may read everything")
    with pytest.raises((HeatcliError, OSError)) as caught:
        READERS[kind](path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["tensor", "labels", "boxes", "relevance models", "json", "picture"])
def test_files_of_any_length_are_not_taken_into_memory(tmp_path, kind):
    path = tmp_path / ("x.json" if kind == "boxes" else "x.npy")
    with path.open("wb") as stream:
        stream.truncate(20 << 30)
    tracemalloc.start()
    with pytest.raises((HeatcliError, TooLarge)):
        READERS[kind](path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 50 << 20


def test_a_file_that_changes_its_kind_is_noticed(tmp_path, monkeypatch):
    """Between looking and opening: what is opened is looked at again."""
    path = tmp_path / "x"
    path.write_bytes(b"content")
    regular = path.stat()
    path.unlink()
    path.mkdir()
    monkeypatch.setattr(Path, "stat", lambda *_, **__: regular)
    with pytest.raises(Irregular):
        opening.opened(path)


def test_bounds_and_contents(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert opening.content(path, 5) == b"12345"
    with pytest.raises(TooLarge, match="more than the 4 bytes"):
        opening.content(path, 4)
    path.write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(ValueError, match="nested too deep"):
        opening.read_json(path)
    path.write_bytes(b"\xef\xbb\xbf[1]")
    assert opening.read_json(path) == [1]


# JSON -----------------------------------------------------------------------------------------------------------------

STRANGE = [
    None, True, -1, 0, 1.5, 10**400, 1e300, float("inf"), float("nan"), "", "x" * 10_000, "224x", "1e400", "../../etc",
    "a\nb\x1b[2J", [], {}, [[]], [1, 2, 3, 4], [1e300], [10**400, 1], [float("nan")] * 3, {"height": "a"},
    {"height": 10**400, "width": 1}, [None], ["a"] * 1000, {"0": {"1": 2}}, {"shortest_edge": float("inf")}, [0, 0, 0],
]  # fmt: skip
KEYS = ("preprocess", "size", "fit", "resize", "mean", "std", "scale", "channels", "layout", "labels", "inputs",
        "activation", "range", "sha256", "unknown")  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_a_sidecar_may_say_anything(classifier, key):
    """It lies beside a model and may come with it."""
    sidecar = classifier.with_suffix(".heatcli.json")
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    try:
        for value in STRANGE:
            sidecar.write_text(json.dumps({key: value}), encoding="utf-8")
            said = ""
            try:
                explainer = heatcli.load(classifier, limits={"activations": "100M"})
                assert np.prod(explainer.network.input.shape) < 10**8
                explainer.explain(PIL.Image.fromarray(pixels))
            except HeatcliError as error:
                said = str(error)
            assert len(said) < 600 + 3 * len(str(sidecar)), value
            assert said.count("\n") <= 1, value
    finally:
        sidecar.unlink()


CONFIGS = {
    "preprocessor_config.json": {
        "do_normalize": True, "image_mean": [0.5], "image_std": [0.5], "do_resize": True, "size": {"shortest_edge": 8},
        "do_center_crop": True, "crop_size": {"height": 8, "width": 8}, "crop_pct": 0.9, "rescale_factor": 1 / 255,
    },
    "config.json": {"pretrained_cfg": {
        "mean": [0.5], "std": [0.5], "input_size": [3, 8, 8], "crop_pct": 0.9, "crop_mode": "center"}},
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_configurations_may_say_anything(tmp_path, name):
    whole = CONFIGS[name]
    inner = whole.get("pretrained_cfg", whole)
    for key in inner:
        for value in [*STRANGE, 1e-300, {"height": 1e300, "width": 1e300}]:
            changed = {**inner, key: value}
            content = {"pretrained_cfg": changed} if "pretrained_cfg" in whole else changed
            (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
            facts = from_config(tmp_path / "m.onnx")
            assert facts is None or facts.size is None or max(facts.size) <= 65536
            assert all(len(text) < 600 + 2 * len(str(tmp_path)) for text in facts.warnings if facts)
    (tmp_path / name).write_text("[" * 100_000, encoding="utf-8")
    found = from_config(tmp_path / "m.onnx")
    assert found is not None
    assert "left aside (its brackets are nested too deep)" in found.warnings[0]


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "[1,2", '{"a": 1}', "3", "9" * 5000, "NaN"])
def test_broken_json(tmp_path, text):
    path = tmp_path / "m.heatcli.json"
    path.write_text(text, encoding="utf-8")
    for read in (lambda: read_sidecar(tmp_path / "m.onnx"), lambda: read_labels(path, 5), lambda: read_boxes(path)):
        try:
            read()
        except UsageError as error:
            assert len(str(error)) < 500 + len(str(path))  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017


# metadata of a model --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        "(" * 100_000, "-" * 100_000 + "1", "[" + "0," * 500_000 + "]", "__import__('os').system('false')", "{0: open}",
        "{**{}}", "{[]: 1}", "{0: 'a'}" * 2, "b'\\xff'", "{0.0: 'a', 1: 'b'}", "'a'" * 300_000, "f'{1}'", "1" * 5000,
    ],
)  # fmt: skip
def test_names_in_the_metadata_are_never_run(names):
    assert labels_from_metadata({"names": names}, 2) in (None, ("a", "b"))


def test_names_in_the_metadata():
    assert labels_from_metadata({"names": "{0: 'cat', 1: 'dog'}"}, 2) == ("cat", "dog")
    assert labels_from_metadata({"names": str({n: f"class {n}" for n in range(1000)})}, 1000)[999] == "class 999"


@pytest.mark.parametrize("text", ["[" * 1000, "[1e400, 1]", "[9, 9, 9]", "{}", "[-1]", "x" * 10**7])
def test_a_size_in_the_metadata(text):
    facts = from_metadata({"imgsz": text, "names": "{}"})
    assert facts is not None
    assert facts.size is None


# tensors --------------------------------------------------------------------------------------------------------------


def npy(header: str, content: bytes = b"", version: bytes = b"\1\0") -> bytes:
    text = header.encode("latin1") + b"\n"
    length = len(text).to_bytes(2 if version == b"\1\0" else 4, "little")
    return b"\x93NUMPY" + version + length + text + content


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000000000)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0, -4)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9223372036854775807, 4)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '|V1000000000', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1," * 100 + ")}",
        "{'descr': '<M8[s]', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4'",
        "{'descr': '<f4', 'fortran_order': 3, 'shape': 'x'}",
        "(" * 300,
        "-" * 9000 + "1",
        "\\\n '''",
        "__import__('os')",
        "{" + "0:" * 4000,
    ],
)
@pytest.mark.parametrize("version", [b"\1\0", b"\2\0", b"\3\0", b"\x09\x09"])
def test_headers_of_tensors_that_lie(tmp_path, header, version):
    path = tmp_path / "x.npy"
    path.write_bytes(npy(header, bytes(64), version))
    for source in (path, path.read_bytes()):
        with pytest.raises(PictureError) as caught:
            read_tensor(source)
        assert "\n" not in str(caught.value)
    assert stacked(path, SPEC) is None
    with pytest.raises(UsageError, match="--input mask: "):
        constants({"mask": path})


def test_damaged_tensors_end_in_an_error_or_in_numbers(tmp_path):
    import io

    stream = io.BytesIO()
    np.save(stream, np.arange(12.0).reshape(3, 4))
    whole, chance = stream.getvalue(), random.Random(0)
    for _ in range(2000):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(128)] = chance.randrange(256)
        try:
            found = read_tensor(bytes(content[: chance.choice((len(content), chance.randrange(len(content))))]))
        except PictureError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert found.dtype.kind in "fiub"


def test_inputs_in_rows_of_different_lengths(classifier):
    with pytest.raises(UsageError, match="--input mask: rows of numbers of one length are needed"):
        constants({"mask": [[1, 2], [3]]})


def test_labels_that_are_none(classifier):
    for labels in (7, {"a": 1}, [[1]], [None] * 5):
        with pytest.raises(UsageError, match=r"a file or a list of names is needed|labels were given"):
            heatcli.load(classifier, labels=labels)
    assert heatcli.load(classifier, labels=[1, 2, 3, 4, 5]).labels == ("1", "2", "3", "4", "5")


def test_metadata_with_line_breaks_and_escapes_is_harmless(classifier, tmp_path, capsys):
    from heatcli.cli import main

    proto = onnx.load(classifier)
    proto.producer_name = "me\x1b[2J\nheatcli: all is well"
    proto.metadata_props.add(key="k\x1b[2J", value="\x1b]0;title\x07" * 1000)
    path = tmp_path / "m.onnx"
    onnx.save(proto, path)
    assert main(["inspect", str(path), "-v", "--size", "8"]) == 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert not any(line.startswith("heatcli: ") for line in (printed.out + printed.err).splitlines())
