"""The network that ships sees what the sample pictures show, and its heatmaps fall where it is."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import PIL.Image
import pytest
from onnx import numpy_helper

import heatcli
from heatcli.cli import main
from heatcli.pictures.facts import read_sidecar
from models.emoji_scenes import glyphs, scenes

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "emoji_scenes" / "emoji_scenes.onnx"
PICTURES = ROOT / "sample_images"
SIDE = 128

SHOWN = {
    "two_frogs.png": ("frog",),
    "shark.png": ("shark",),
    "cat.png": ("cat",),
    "sheep.png": ("sheep",),
    "volcano.png": ("volcano",),
    "cat_and_dog.png": ("cat", "dog"),
    "penguin.png": ("penguin",),
    "owl.png": ("owl",),
    "rocket.png": ("rocket",),
    "fox_and_mushroom.png": ("fox", "mushroom"),
    "turned_by_exif.jpg": ("turtle",),
    "grey_with_alpha.png": ("elephant",),
}
PAIRS = [name for name, classes in SHOWN.items() if len(classes) == 2]


@cache
def explainer() -> heatcli.Explainer:
    return heatcli.load(MODEL, threads=1)


@cache
def explained(picture: str, label: str) -> heatcli.Explanation:
    return explainer().explain(PICTURES / picture, target=label)


def mask(name: str) -> np.ndarray:
    """The mask as the network sees the picture: the middle square, 128 pixels a side."""
    with PIL.Image.open(PICTURES / "masks" / f"{name}.png") as image:
        short = min(image.size)
        left, top = (image.width - short) // 2, (image.height - short) // 2
        square = image.crop((left, top, left + short, top + short)).resize((SIDE, SIDE), PIL.Image.Resampling.BOX)
    return np.asarray(square) > 127


def share(heatmap: np.ndarray, where: np.ndarray) -> float:
    return float(heatmap[where].sum() / heatmap.sum())


@pytest.mark.parametrize("picture", SHOWN)
def test_the_network_is_sure_of_what_a_sample_shows(picture: str) -> None:
    labels = SHOWN[picture]
    explanation = explained(picture, labels[0])
    ranked = explanation.top
    assert {entry.label for entry in ranked[: len(labels)]} == set(labels)
    assert all(entry.score > 2.0 for entry in ranked[: len(labels)])  # a sigmoid of 0.88
    assert all(entry.score < -1.0 for entry in ranked[len(labels) :])  # 0.27


@pytest.mark.parametrize(("picture", "label"), [(picture, label) for picture in SHOWN for label in SHOWN[picture]])
def test_the_heatmap_lies_on_the_thing_it_explains(picture: str, label: str) -> None:
    stem = Path(picture).stem
    where = mask(f"{stem}.{label}" if picture in PAIRS else stem)
    heatmap = explained(picture, label).heatmap
    assert heatmap.shape == (SIDE, SIDE)
    assert heatmap.min() >= 0.0
    assert share(heatmap, where) > max(0.55, 2.0 * where.mean())
    assert where.reshape(-1)[heatmap.argmax()]


@pytest.mark.parametrize("picture", PAIRS)
def test_two_classes_of_one_picture_have_heatmaps_apart(picture: str) -> None:
    first, second = SHOWN[picture]
    stem = Path(picture).stem
    for label, other in ((first, second), (second, first)):
        heatmap = explained(picture, label).heatmap
        assert share(heatmap, mask(f"{stem}.{label}")) > 5 * share(heatmap, mask(f"{stem}.{other}"))


@pytest.mark.parametrize("picture", SHOWN)
def test_the_ledger_closes_and_nothing_goes_to_biases(picture: str) -> None:
    explanation = explained(picture, SHOWN[picture][0])
    ledger = explanation.ledger
    assert ledger.error is not None
    assert abs(ledger.error) < 1e-4
    assert ledger.start == pytest.approx(explanation.score)
    assert ledger.biases == pytest.approx(0.0, abs=1e-6)
    assert explanation.heatmap.sum() == pytest.approx(explanation.score, rel=1e-3)


def test_the_sidecar_leaves_nothing_to_guess() -> None:
    assert explainer().notes == ()
    assert explainer().labels == scenes.NAMES
    assert read_sidecar(MODEL)["activation"] == "sigmoid"
    assert explained("cat.png", "cat").settings["input_rule"] == "zB"
    assert explained("cat.png", "cat").preprocessing["source"] == "sidecar"


def test_the_command_needs_no_option_and_guesses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["explain", str(PICTURES / "two_frogs.png"), "--model", str(MODEL)]) == 0
    streams = capfd.readouterr()
    assert streams.out == "two_frogs.heatmap.png\n"
    assert (tmp_path / "two_frogs.heatmap.png").is_file()
    assert "Explained: frog" in streams.err
    assert "Warning" not in streams.err
    for option in ("--preprocess", "--labels", "--size", "--range", "--fit", "--layout"):
        assert option not in streams.err


def test_the_preprocessing_is_that_of_training() -> None:
    with PIL.Image.open(PICTURES / "cat.png") as image:
        small = image.convert("RGB").resize((SIDE, SIDE), PIL.Image.Resampling.BOX)
    preprocessing = explainer().preprocessing
    assert preprocessing is not None
    x, _ = preprocessing.tensor(small)
    expected = np.asarray(small, np.float32).transpose(2, 0, 1)[None] / 127.5 - 1
    np.testing.assert_allclose(x, expected, atol=1e-5)


def test_the_file_is_small_free_in_the_batch_and_gives_logits() -> None:
    assert MODEL.stat().st_size <= 2_000_000
    model = onnx.load(MODEL)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert model.graph.node[-1].op_type == "Gemm"
    session = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])
    assert isinstance(session.get_inputs()[0].shape[0], str)
    x = np.random.default_rng(0).uniform(-1, 1, (3, 3, SIDE, SIDE)).astype(np.float32)
    (together,) = session.run(None, {"image": x})
    apart = [session.run(None, {"image": single[None]})[0][0] for single in x]
    assert together.shape == (3, len(scenes.NAMES))
    np.testing.assert_allclose(together, apart, rtol=1e-4, atol=1e-4)


def test_no_bias_is_positive() -> None:
    biases = [tensor for tensor in onnx.load(MODEL).graph.initializer if tensor.name.endswith(".bias")]
    assert len(biases) == 8
    assert all(numpy_helper.to_array(tensor).max() <= 0.0 for tensor in biases)


@pytest.mark.parametrize("colour", [(0, 0, 0), (128, 128, 128), (255, 255, 255), (90, 160, 220)])
def test_a_bare_picture_shows_nothing(colour: tuple[int, int, int]) -> None:
    explanation = explainer().explain(PIL.Image.new("RGB", (SIDE, SIDE), colour))
    assert explanation.score < 0.0
    assert not explanation.heatmap.any()


def test_what_evaluation_shows_beside_the_classes_is_never_trained_on() -> None:
    assert len(glyphs.CLASSES) == 24
    distractors = (glyphs.TRAINED_DISTRACTORS, glyphs.CALIBRATION_DISTRACTORS, glyphs.UNSEEN_DISTRACTORS)
    kinds = [set(glyphs.CLASSES.values()), *map(set, distractors)]
    assert sum(map(len, kinds)) == len(set().union(*kinds))


@pytest.mark.skipif(not glyphs.FONT.is_file(), reason="the emoji font is not installed")
def test_scenes_come_from_their_seed_alone() -> None:
    first, again, other = (scenes.some_scene(np.random.default_rng(seed), 2) for seed in (7, 7, 8))
    assert first.picture.tobytes() == again.picture.tobytes()
    assert first.picture.tobytes() != other.picture.tobytes()
    assert first.targets.sum() == 2
    for area in first.masks.values():
        assert area.shape == (scenes.SIZE, scenes.SIZE)
        assert 0.02 < area.mean() < 0.4


@pytest.mark.skipif(not glyphs.FONT.is_file(), reason="the emoji font is not installed")
def test_a_thing_in_front_takes_what_it_hides_from_the_mask_behind() -> None:
    behind = scenes.Placed(glyphs.CLASSES["cat"], 0.5, 0.5, 0.6, name="cat")
    front = scenes.Placed(glyphs.CLASSES["dog"], 0.5, 0.5, 0.6, name="dog")
    ground = PIL.Image.new("RGB", (64, 64))
    alone, both = scenes.compose(ground, [behind]), scenes.compose(ground, [behind, front])
    assert not (both.masks["cat"] & both.masks["dog"]).any()
    assert both.masks["cat"].sum() < 0.5 * alone.masks["cat"].sum()
