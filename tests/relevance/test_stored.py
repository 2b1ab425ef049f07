"""The file of relevance models: what is written is read again, and nothing else is: foreign, damaged, too large."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest

from heatcli import network
from heatcli.errors import UsageError
from heatcli.relevance import stored
from heatcli.relevance.detection import detections
from heatcli.relevance.models import RelevanceModel
from heatcli.relevance.stored import ModelFile
from tests import whole

SHA = "ab" * 32


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    nodes = [
        whole.node("Conv", "x w1", "c"),
        whole.node("Relu", "c", "r"),
        whole.node("Flatten", "r", "flat"),
        whole.node("MatMul", "flat w2", "d"),
        whole.node("Relu", "d", "rd"),
        whole.node("MatMul", "rd w3", "y"),
    ]
    constants = {"w1": whole.f(3, 2, 2, 2), "w2": whole.f(3 * 9, 5), "w3": whole.f(5, 4)}
    path = tmp_path_factory.mktemp("net") / "net.onnx"
    return network.read(whole.save(path, nodes, [whole.End("x", [1, 2, 4, 4])], [whole.End("y", [1, 4])], constants))


def models(net):
    return [
        RelevanceModel(entry, *(whole.f(*shape, seed=1) for shape in stored.shapes(entry)))
        for entry in reversed(detections(net))
    ]


def written(net, path, *, found=None, **description):
    found = models(net) if found is None else found
    described = {
        "model": {"name": "net.onnx", "sha256": SHA},
        "layers": [{"name": model.detection.layer.name} for model in found],
    }
    with path.open("wb") as stream:
        stored.write(stream, found, described | description)
    return path


def test_what_is_written_is_read(net, tmp_path):
    path = written(net, tmp_path / "net.relevance.npz")
    held = stored.read(path, net, SHA)
    assert list(held.models) == ["d", "c"]
    for model in models(net):
        again = held.models[model.detection.layer.name]
        np.testing.assert_array_equal(again.weights, model.weights)
        np.testing.assert_array_equal(again.upper, model.upper)
        np.testing.assert_array_equal(again.offset, model.offset)
        assert again.weights.dtype == np.float32
    assert held.record() == {"file": str(path), "sha256": held.sha256}
    assert held.models["c"].upper.shape == (5, 3)
    assert held.models["d"].upper.shape == (4, 5)


def test_another_network(net, tmp_path):
    path = written(net, tmp_path / "a.npz", model={"name": "other.onnx", "sha256": "cd" * 32})
    with pytest.raises(
        UsageError, match=r"fitted for other.onnx \(sha256 cdcdcdcdcdcd…\), not for this.*\n`heatcli fit`"
    ):
        stored.read(path, net, SHA)


def wrong_shape(net):
    first, second = models(net)
    return [first, RelevanceModel(second.detection, second.weights[:, :1], second.upper, second.offset)]


def not_finite(net):
    first, second = models(net)
    return [first, RelevanceModel(second.detection, second.weights * np.inf, second.upper, second.offset)]


def too_large(net):
    first, second = models(net)
    return [first, RelevanceModel(second.detection, np.zeros((3, 2, 2, 1 << 20)), second.upper, second.offset)]


@pytest.mark.parametrize("broken", [wrong_shape, not_finite, too_large])
def test_arrays_that_do_not_fit(net, tmp_path, broken):
    with np.errstate(invalid="ignore"):
        path = written(net, tmp_path / "a.npz", found=broken(net))
    with pytest.raises(UsageError, match=r"a.npz: is no file of relevance models, or damaged; `heatcli fit"):
        stored.read(path, net, SHA)


def test_a_layer_that_is_not_there(net, tmp_path):
    path = written(net, tmp_path / "a.npz", layers=[{"name": "other"}, {"name": "c"}])
    with pytest.raises(UsageError, match="or damaged"):
        stored.read(path, net, SHA)


@pytest.mark.parametrize(
    "content",
    [b"", b"no zip", b"PK\x03\x04 torn", json.dumps({"schema": 1}).encode()],
)
def test_files_of_other_kinds(net, tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="or damaged"):
        stored.read(path, net, SHA)


def test_a_torn_file(net, tmp_path):
    path = written(net, tmp_path / "a.npz")
    whole_file = path.read_bytes()
    for length in range(0, len(whole_file), len(whole_file) // 23):
        path.write_bytes(whole_file[:length])
        with pytest.raises(UsageError, match="or damaged"):
            stored.read(path, net, SHA)


def test_turned_bits_are_noticed_or_harmless(net, tmp_path):
    path = written(net, tmp_path / "a.npz")
    content = path.read_bytes()
    random = np.random.default_rng(0)
    for place in random.integers(0, len(content), 60):
        changed = bytearray(content)
        changed[place] ^= 1 << random.integers(8)
        path.write_bytes(bytes(changed))
        try:
            held = stored.read(path, net, SHA)
        except UsageError:
            continue
        assert all(np.isfinite(model.weights).all() for model in held.models.values())


def test_objects_are_not_unpickled(net, tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, description=np.array([object()], dtype=object), allow_pickle=True)
    with pytest.raises(UsageError, match="or damaged"):
        stored.read(path, net, SHA)


@pytest.mark.parametrize("description", ['{"schema": 2}', "[]", "null", "{", '{"schema": 1, "model": 3}'])
def test_descriptions_of_other_kinds(net, tmp_path, description):
    path = tmp_path / "a.npz"
    np.savez(path, description=np.array(description))
    with pytest.raises(UsageError, match="or damaged"):
        stored.read(path, net, SHA)


@pytest.mark.parametrize("name", ["description.npy", "description"])
def test_a_description_that_unpacks_to_gigabytes_is_not_unpacked(net, tmp_path, name, monkeypatch):
    """Nor is one without an ending, which NumPy takes before the other."""
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("unpacked"))
    path = tmp_path / "a.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 33,)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        with packed.open(name, "w") as entry:
            entry.write(header.getvalue())
            for _ in range(64):
                entry.write(bytes(1 << 20))
        if name == "description":
            packed.writestr("description.npy", b"small")
    with pytest.raises(UsageError, match="or damaged"):
        stored.read(path, net, SHA)


def test_the_file_beside_the_model(net, tmp_path):
    model = tmp_path / "net.onnx"
    file = ModelFile(net, model, SHA)
    with pytest.raises(UsageError, match=r"there is no .*net.relevance.npz\n`heatcli fit .*net.onnx --images DIR`"):
        file.read(None)
    with pytest.raises(UsageError, match=r"--relevance-model .*other.npz: no such file"):
        file.read(str(tmp_path / "other.npz"))
    path = written(net, stored.beside(model))
    assert path.name == "net.relevance.npz"
    first = file.read(None)
    assert file.read(None) is first
    written(net, path, found=models(net)[:1])
    assert list(file.read(None).models) == ["d"]
    with pytest.raises(UsageError, match="no such file"):
        stored.read(tmp_path, net, SHA)  # a folder
