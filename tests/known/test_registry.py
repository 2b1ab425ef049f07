"""The registry holds what it promises, and a known file is recognised under any name."""

from __future__ import annotations

import json
import shutil

import pytest

import heatcli
from heatcli.errors import UsageError
from heatcli.known import registry
from heatcli.known.cache import cached, path_of
from heatcli.pictures.facts import from_known


@pytest.mark.parametrize("known", registry.models(), ids=lambda known: known.name)
def test_every_entry(known):
    assert len(known.sha256) == 64
    assert set(known.sha256) <= set("0123456789abcdef")
    assert known.size > 1000
    assert len(registry.labels(known)) == known.classes
    same = registry.recognise(known.sha256)
    assert (same.sha256, same.settings, same.classes, same.size) == (
        known.sha256,
        known.settings,
        known.classes,
        known.size,
    )
    assert registry.find(known.name.upper()) is known
    assert from_known(known.settings, known.name, checked=known.checked).source == "known"
    for source in registry.sources(known):
        assert source.startswith("https://")
        assert source.endswith(f"{known.name}.onnx")


def test_names_are_given_once():
    names = [name for known in registry.models() for name in (known.name, *known.aliases)]
    assert len(names) == len(set(names))


def test_the_record_agrees_with_its_source(data):
    published = {entry["name"]: entry for entry in json.loads((data / "onnx_zoo_facts.json").read_text())["models"]}
    for known in registry.models():
        entry = published[known.name]
        assert (known.sha256, known.size, known.path) == (entry["sha256"], entry["bytes"], entry["path"])


def test_imagenet_labels():
    labels = registry.labels(registry.find("googlenet"))
    assert labels[0] == "tench, Tinca tinca"
    assert labels[281].startswith("tabby")
    assert labels[980] == "volcano"
    assert labels.synsets[999] == "n15075141"


def test_an_unknown_name_gets_the_closest():
    with pytest.raises(UsageError, match=r"closest: .*googlenet"):
        registry.find("googelnet")


def test_a_missing_model_says_how_to_fetch_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HEATCLI_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="heatcli models pull googlenet"):
        heatcli.load("googlenet")


def test_a_file_goes_before_a_known_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "googlenet").write_bytes(b"no model")
    with pytest.raises(heatcli.ModelError, match="cannot be read as an ONNX model"):
        heatcli.load("googlenet")


def test_recognised_by_checksum_under_another_name(data, tmp_path, monkeypatch):
    shutil.copy(data / "models" / "mnist_cntk_opset8.onnx", tmp_path / "strange.onnx")
    explainer = heatcli.load(tmp_path / "strange.onnx")
    assert explainer.labels == tuple("0123456789")
    assert explainer.preprocessing.source == "known"
    assert explainer.preprocessing.preset == "raw"
    assert not any("guessed" in note for note in explainer.notes)
    assert heatcli.load(tmp_path / "strange.onnx", preprocess="unit").preprocessing.source == "option"
    # and by its name, once it lies in the cache
    monkeypatch.setenv("HEATCLI_HOME", str(tmp_path / "home"))
    known = registry.find("mnist-7")
    path_of(known).parent.mkdir(parents=True)
    shutil.copy(tmp_path / "strange.onnx", path_of(known))
    assert cached(known) == path_of(known)
    assert heatcli.load("mnist-7").model.sha256 == known.sha256
