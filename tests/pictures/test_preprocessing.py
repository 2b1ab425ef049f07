"""How a picture becomes the input tensor, on whose word, and what is said about guesses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatcli.errors import UsageError
from heatcli.network.layers import InputSpec
from heatcli.pictures.facts import parse_size, stated_size
from heatcli.pictures.preprocessing import PRESETS, Preprocessing, resolve
from heatcli.pictures.reading import read_picture
from heatcli.runtime import open_session, run

RGB224 = InputSpec("x", (1, 3, 224, 224), "float32", "NCHW")
RGB32 = InputSpec("x", (1, 3, 32, 32), "float32", "NCHW")
GREY28 = InputSpec("x", (1, 1, 28, 28), "float32", "NCHW")
BYTES = InputSpec("x", (1, 128, 128, 3), "uint8", "NHWC", raw_pixels="the input is uint8")
ROW784 = InputSpec("x", (1, 784), "float32", "flat")


def settled(spec: InputSpec, **options: object) -> Preprocessing:
    preprocessing, _ = resolve(spec, **options)
    assert preprocessing is not None
    return preprocessing


def notes(spec: InputSpec, **options: object) -> str:
    return "\n".join(resolve(spec, **options)[1])


def picture(height: int = 40, width: int = 50, seed: int = 0) -> PIL.Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return PIL.Image.fromarray(pixels)


# the arithmetic -------------------------------------------------------------------------------------------------------

FORMULAS = {
    "imagenet": lambda p: (p / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225],
    "caffe": lambda p: p[..., ::-1] - [104, 117, 123],
    "half": lambda p: p / 127.5 - 1,
    "unit": lambda p: p / 255,
    "raw": lambda p: p,
}


@pytest.mark.parametrize("preset", FORMULAS)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "CHW", "HWC", "flat"])
def test_presets_are_their_formulas(preset: str, layout: str) -> None:
    shapes = {"NCHW": (1, 3, 32, 32), "NHWC": (1, 32, 32, 3), "CHW": (3, 32, 32), "HWC": (32, 32, 3), "flat": (1, 3072)}
    image = picture(32, 32)
    preprocessing = settled(InputSpec("x", shapes[layout], "float32", layout), preprocess=preset)
    x, placement = preprocessing.tensor(image)
    expected = FORMULAS[preset](np.asarray(image, np.float64))
    if layout in ("NCHW", "CHW", "flat"):
        expected = expected.transpose(2, 0, 1)
    assert x.dtype == np.float32
    assert np.allclose(x, expected.reshape(shapes[layout]), atol=2e-4)
    assert placement.box == (0, 0, 32, 32)
    assert preprocessing.preset == preset
    assert preprocessing.source == "option"
    assert set(FORMULAS) == set(PRESETS)


def test_bgr_puts_blue_first_and_its_mean_with_it() -> None:
    x, _ = settled(RGB32, preprocess="caffe").tensor(PIL.Image.new("RGB", (32, 32), (10, 20, 30)))
    assert x[0, :, 0, 0].tolist() == [30 - 104, 20 - 117, 10 - 123]


def test_grey_inputs() -> None:
    image = picture(28, 28)
    expected = np.asarray(image.convert("L"), np.float32) / 255
    for spec in (
        GREY28,
        ROW784,
        InputSpec("x", (28, 28), "float32", "HW"),
        InputSpec("x", (1, 28, 28), "float32", "NHW"),
    ):
        x, _ = settled(spec).tensor(image)
        assert x.shape == spec.shape
        assert np.allclose(x.reshape(28, 28), expected, atol=1e-6)


def test_integer_inputs_are_rounded_into_their_type() -> None:
    x, _ = settled(BYTES, fit="squash").tensor(picture(128, 128))
    assert x.dtype == np.uint8
    assert np.array_equal(x[0], np.asarray(picture(128, 128)))
    signed = InputSpec("x", (1, 128, 128, 3), "int8", "NHWC", raw_pixels="the input is int8")
    x, _ = settled(signed, fit="squash").tensor(picture(128, 128))
    assert x.dtype == np.int8
    assert np.array_equal(x[0].astype(int), np.asarray(picture(128, 128)).astype(int) - 128)
    low, high = settled(signed).bounds()
    assert (low.min(), high.max()) == (-128, 127)


def test_half_precision_inputs() -> None:
    spec = InputSpec("x", (1, 3, 32, 32), "float16", "NCHW")
    x, _ = settled(spec, preprocess="caffe").tensor(picture(32, 32))
    assert x.dtype == np.float16


@given(
    st.sampled_from(["NCHW", "NHWC", "flat"]),
    st.sampled_from(["float32", "float16"]),
    st.lists(st.floats(-3, 3), min_size=3, max_size=3),
    st.lists(st.floats(0.05, 3) | st.floats(-3, -0.05), min_size=3, max_size=3),
    st.sampled_from([1 / 255, -1 / 255, 1 / 127.5, 1.0]),
    st.sampled_from(["rgb", "bgr"]),
    st.sampled_from(["crop", "pad"]),
)
def test_bounds_hold_every_pixel_and_are_reached(layout, dtype, mean, std, scale, channels, fit) -> None:
    shapes = {"NCHW": (1, 3, 8, 8), "NHWC": (1, 8, 8, 3), "flat": (1, 192)}
    spec = InputSpec("x", shapes[layout], dtype, layout)
    preprocessing = settled(spec, mean=mean, std=std, scale=scale, channels=channels, fit=fit)
    pixels = np.asarray(picture(8, 8)).copy()
    pixels[0, 0], pixels[0, 1] = 0, 255
    x, _ = preprocessing.tensor(PIL.Image.fromarray(pixels))
    low, high = (np.broadcast_to(bound, spec.shape) for bound in preprocessing.bounds())
    assert low.dtype == np.float32
    assert np.all(low <= x)
    assert np.all(x <= high)
    assert x.min() == low.min()
    assert x.max() == high.max()
    wide, _ = preprocessing.tensor(picture(5, 19))
    assert np.all(low <= wide)
    assert np.all(wide <= high)


def test_padding_is_zero_in_the_network() -> None:
    x, placement = settled(RGB32, preprocess="caffe", fit="pad").tensor(picture(10, 40))
    assert placement.inside == (0, 0, 40, 10)
    assert not x[0, :, 0].any()


def test_the_usual_margins() -> None:
    assert settled(RGB224, preprocess="imagenet").resize == 256
    assert settled(InputSpec("x", (1, 3, 299, 299), "float32", "NCHW")).resize == 342
    assert settled(RGB32).resize is None
    assert (settled(RGB224, preprocess="caffe").fit, settled(RGB224, preprocess="caffe").resize) == ("crop", 256)
    assert settled(RGB224, preprocess="caffe", fit="squash").resize is None
    assert settled(RGB224, fit="pad").resize is None


@pytest.mark.parametrize(
    ("fit", "resize", "words"),
    [
        ("crop", 256, "shorter side to 256, centre crop 224×320"),
        ("crop", None, "centre crop, scaled to 224×320"),
        ("crop", 224, "centre crop, scaled to 224×320"),
        ("squash", 256, "squash to 256×366, crop 224×320"),
        ("squash", None, "squash to 224×320"),
        ("pad", None, "pad to 224×320"),
    ],
)
def test_the_fit_in_words(fit: str, resize: int | None, words: str) -> None:
    assert replace(settled(RGB224), size=(224, 320), fit=fit, resize=resize).fitting() == words


def test_the_record_is_json_and_whole() -> None:
    record = json.loads(json.dumps(settled(RGB224, preprocess="caffe", size=(224, 224)).record()))
    assert record == {
        "preset": "caffe",
        "source": "option",
        "size": [224, 224],
        "fit": "crop",
        "resize": 256,
        "scale": 1.0,
        "mean": [104.0, 117.0, 123.0],
        "std": [1.0, 1.0, 1.0],
        "channels": "bgr",
        "layout": "NCHW",
        "dtype": "float32",
        "evidence": ["given: --preprocess caffe, --size 224,224"],
    }


# whose word counts ----------------------------------------------------------------------------------------------------


def test_a_guess_is_said_with_its_option() -> None:
    assert notes(RGB224) == (
        "preprocessing guessed: imagenet (RGB/255, ImageNet mean and std), because nothing in the file says otherwise; "
        "change with --preprocess"
    )
    assert settled(RGB224).source == "default"
    assert "unit (grey/255)" in notes(GREY28)
    assert notes(RGB224, preprocess="caffe") == ""
    assert notes(ROW784, preprocess="unit") == (
        "the row of 784 numbers is taken for one grey picture, 28×28; change with --size"
    )
    assert notes(ROW784, preprocess="unit", size=28) == ""


def test_single_facts_override_a_preset() -> None:
    preprocessing = settled(RGB224, preprocess="imagenet", mean=(0.5, 0.5, 0.5), channels="bgr")
    assert preprocessing.mean == (0.5, 0.5, 0.5)
    assert preprocessing.std == (0.229, 0.224, 0.225)
    assert preprocessing.channels == "bgr"
    assert preprocessing.preset == "custom"
    assert settled(RGB224, preprocess="unit", mean=0.5, std="0.5").preset == "half"
    assert settled(RGB224, mean="104,117,123", std=1, scale=1, channels="bgr").preset == "caffe"


def test_a_lone_fact_leaves_the_rest_a_guess() -> None:
    said = notes(RGB224, mean=0.5)
    assert "guessed: custom (RGB/255, mean 0.5, std 0.229, 0.224, 0.225)" in said
    assert settled(RGB224, mean=0.5).source == "option"
    assert "guessed" in notes(RGB224, fit="squash")


def test_a_mean_of_pixels_on_scaled_pixels_is_remarked() -> None:
    assert "--pixel-scale 1" in notes(RGB224, mean="123.675,116.28,103.53", std="58.395,57.12,57.375")
    assert "--scale 1" not in notes(RGB224, mean="123.675,116.28,103.53", std="58.395,57.12,57.375", scale=1)
    assert "--scale 1" not in notes(RGB224)


def test_the_graph_speaks() -> None:
    assert settled(BYTES).preset == "raw"
    assert settled(BYTES).source == "graph"
    assert "raw (RGB 0–255), because the input is uint8" in notes(BYTES)
    assert "written by caffejs-weights-to-onnx" in notes(RGB224, producer="caffejs-weights-to-onnx")
    assert "guessed: caffe" in notes(RGB224, producer="caffejs-weights-to-onnx")
    assert settled(RGB224, producer="caffejs-weights-to-onnx").preset == "caffe"
    assert settled(RGB224, producer="caffejs-weights-to-onnx").source == "metadata"
    assert settled(RGB224, producer="pytorch").preset == "imagenet"


def test_onnx_image_metadata() -> None:
    metadata = {"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "NominalRange_0_255"}
    preprocessing = settled(RGB224, metadata=metadata)
    assert (preprocessing.channels, preprocessing.scale, preprocessing.source) == ("bgr", 1.0, "metadata")
    assert "the model's metadata says pixels Bgr8, range NominalRange_0_255" in notes(RGB224, metadata=metadata)
    assert settled(RGB224, metadata={"Image.NominalPixelRange": "Normalized_1_1"}).preset == "half"
    assert settled(RGB224, metadata={"Image.NominalPixelRange": "Normalized_0_1"}).preset == "unit"
    assert settled(RGB224, preprocess="raw", metadata=metadata).channels == "rgb"


def test_ultralytics_metadata() -> None:
    metadata = {"names": "{0: 'cat', 1: 'dog'}", "imgsz": "[224, 224]", "task": "classify"}
    preprocessing = settled(RGB224, metadata=metadata)
    assert (preprocessing.preset, preprocessing.fit, preprocessing.resize) == ("unit", "crop", 224)
    assert "Ultralytics" in notes(RGB224, metadata=metadata)


HUGGING_FACE = {
    "do_normalize": True,
    "do_resize": True,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "size": {"height": 224, "width": 224},
}


@pytest.mark.parametrize(
    ("changes", "fit", "resize"),
    [
        ({}, "squash", None),
        ({"size": 224}, "squash", None),
        (
            {"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 224, "width": 224}},
            "crop",
            256,
        ),
        ({"size": 256, "do_center_crop": True, "crop_size": 224}, "crop", 256),
        ({"size": {"height": 256, "width": 256}, "do_center_crop": True, "crop_size": 224}, "squash", 256),
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875}, "crop", 256),
    ],
)
def test_hugging_face_configuration(tmp_path: Path, changes: dict[str, object], fit: str, resize: int | None) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(HUGGING_FACE | changes))
    preprocessing = settled(RGB224, model_path=tmp_path / "model.onnx")
    assert (preprocessing.preset, preprocessing.source) == ("half", "config")
    assert (preprocessing.fit, preprocessing.resize) == (fit, resize)
    assert "stated in preprocessor_config.json beside the model" in notes(RGB224, model_path=tmp_path / "model.onnx")
    (tmp_path / "onnx").mkdir()
    assert settled(RGB224, model_path=tmp_path / "onnx" / "model.onnx").source == "config"
    assert stated_size(tmp_path / "model.onnx") == (224, 224)


def test_timm_configuration(tmp_path: Path) -> None:
    config = {"pretrained_cfg": {"input_size": [3, 224, 224], "mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 0.9}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    preprocessing = settled(RGB224, model_path=tmp_path / "model.onnx")
    assert (preprocessing.preset, preprocessing.resize, preprocessing.source) == ("half", 248, "config")


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"image_mean": "x"}', '{"image_mean": [0.5], "size": {"no": 1}}', "null"]
)
def test_a_configuration_that_cannot_be_understood_is_left_aside(tmp_path: Path, content: str) -> None:
    (tmp_path / "preprocessor_config.json").write_text(content)
    preprocessing, said = resolve(RGB224, model_path=tmp_path / "model.onnx")
    assert preprocessing is not None
    assert preprocessing.preset == "imagenet"
    assert preprocessing.source == "default"
    assert any("left aside" in note for note in said) == (content not in ("[]", "null"))


def test_a_folder_that_is_closed_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", closed)
    preprocessing, _ = resolve(RGB224, model_path="closed/net.onnx")
    assert preprocessing is not None
    assert preprocessing.source == "default"


def test_the_sidecar_beats_what_others_say_and_options_beat_it(tmp_path: Path) -> None:
    model = tmp_path / "net.onnx"
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(HUGGING_FACE))
    (tmp_path / "net.heatcli.json").write_text('{"preprocess": "caffe", "fit": "crop", "labels": "labels.txt"}')
    preprocessing, said = resolve(RGB224, model_path=model)
    assert preprocessing is not None
    assert (preprocessing.preset, preprocessing.source, preprocessing.fit) == ("caffe", "sidecar", "crop")
    assert said == ()
    assert preprocessing.evidence[0] == "stated in net.heatcli.json"
    overruled = settled(RGB224, model_path=model, mean=(1, 2, 3))
    assert (overruled.mean, overruled.channels, overruled.source) == ((1, 2, 3), "bgr", "option")


def test_the_record_is_a_sidecar(tmp_path: Path) -> None:
    """What was recorded once, written beside the model, gives the same preprocessing again."""
    first = settled(RGB224, preprocess="half", mean=0.25, fit="squash")
    keys = ("size", "fit", "resize", "scale", "mean", "std", "channels", "layout")
    kept = {key: value for key, value in first.record().items() if key in keys}
    (tmp_path / "net.heatcli.json").write_text(json.dumps(kept))
    again = settled(RGB224, model_path=tmp_path / "net.onnx")
    for key in keys:
        assert again.record()[key] == first.record()[key], key


def test_a_broken_sidecar_is_an_error_and_unknown_keys_are_named(tmp_path: Path) -> None:
    sidecar = tmp_path / "net.heatcli.json"
    for content in ("{", "[1]"):
        sidecar.write_text(content)
        with pytest.raises(UsageError, match=r"net\.heatcli\.json"):
            resolve(RGB224, model_path=tmp_path / "net.onnx")
    sidecar.write_text('{"maen": [1, 2, 3]}')
    assert "the key 'maen' is not known" in notes(RGB224, model_path=tmp_path / "net.onnx")
    sidecar.write_text('{"preprocess": "coffee"}')
    with pytest.raises(
        UsageError, match=r"net\.heatcli\.json: preprocess coffee: no such preset; known: auto, imagenet"
    ):
        resolve(RGB224, model_path=tmp_path / "net.onnx")


# what does not fit ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        (RGB224, {"preprocess": "coffee"}, "known: auto, imagenet, caffe, half, unit, raw"),
        (RGB224, {"mean": (1, 2)}, "2 values for mean .*3 channels"),
        (GREY28, {"std": (1, 2, 3)}, "3 values for std .*one channel"),
        (RGB224, {"mean": "a,b,c"}, "--mean a,b,c: numbers with commas"),
        (RGB224, {"mean": "nan"}, "--mean nan"),
        (RGB224, {"size": 32}, "--size 32x32: the model's input is fixed at 224×224, leave it out"),
        (RGB224, {"size": "big"}, "one number or HEIGHTxWIDTH"),
        (RGB224, {"size": (0, 3)}, "one number or HEIGHTxWIDTH"),
        (RGB224, {"fit": "stretch"}, "known: crop, squash, pad"),
        (RGB224, {"channels": "yuv"}, "known: rgb, bgr, grey"),
        (RGB224, {"channels": "grey"}, "takes three channels"),
        (GREY28, {"channels": "rgb"}, "takes one grey channel"),
        (RGB224, {"layout": "nhwc"}, "--layout nhwc does not fit the input x of shape 1×3×224×224"),
        (RGB224, {"layout": "wxyz"}, "unknown; known: nchw"),
        (RGB224, {"std": 0}, r"std must not be zero \(given: --std 0\)"),
        (RGB224, {"scale": 0}, "scale must not be zero"),
        (ROW784, {"size": "28x29"}, "does not make 784 numbers"),
        (BYTES, {"preprocess": "imagenet"}, "from -2.118 to 2.64, but the input is uint8"),
        (BYTES, {"preprocess": "caffe"}, "but the input is uint8"),
    ],
)
def test_what_does_not_fit_is_refused(spec: InputSpec, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(spec, **options)


@pytest.mark.parametrize(
    ("shape", "layout"), [((1, 12, 1000), "tensor"), ((1, 5), "flat"), ((1, 4, 32, 32), "NCHW"), ((1, 1568), "flat")]
)
def test_an_input_that_is_no_picture(shape: tuple[int, ...], layout: str) -> None:
    preprocessing, said = resolve(InputSpec("ecg", shape, "float32", layout))
    assert preprocessing is None
    assert len(said) == 1
    assert "only .npy tensors can be given" in said[0]


def test_a_row_with_a_given_size() -> None:
    preprocessing = settled(InputSpec("x", (1, 1568), "float32", "flat"), size="28x56", scale=2 / 255, mean=0.5, std=1)
    assert preprocessing.size == (28, 56)
    low, high = preprocessing.bounds()
    assert (float(low[0, 0]), float(high[0, 0])) == (-0.5, 1.5)  # the coding of the paper's MNIST experiment


def test_a_free_size_that_files_contradict_is_said(tmp_path: Path) -> None:
    free = InputSpec("x", (1, 3, 224, 224), "float32", "NCHW", free=True)
    (tmp_path / "net.heatcli.json").write_text('{"size": 160}')
    assert "160×160, but the network runs at 224×224" in notes(free, model_path=tmp_path / "net.onnx")
    assert stated_size(tmp_path / "net.onnx") == (160, 160)
    with pytest.raises(UsageError, match="the sidecar file's size 160x160: the model's input is fixed at"):
        resolve(RGB224, model_path=tmp_path / "net.onnx")


def test_sizes_as_people_write_them() -> None:
    assert parse_size(224) == parse_size("224") == parse_size("224x224") == parse_size([224, 224]) == (224, 224)
    assert parse_size("28X56") == parse_size("28×56") == (28, 56)


def test_googlenet_recognises_photographs_through_it(data: Path) -> None:
    """The whole way from file to tensor against the network's own answers: the five of the paper's kind."""
    synsets = [line.split()[0] for line in (data / "imagenet_synset_words.txt").read_text().splitlines()]
    session = open_session(data / "models" / "bvlc_googlenet_opset8.onnx", threads=2)
    name = session.get_inputs()[0].name
    preprocessing = settled(RGB224, preprocess="caffe")
    for stem in ("n01491361_tiger_shark", "n01644900_tailed_frog", "n02123597_Siamese_cat", "n02412080_ram"):
        x, _ = preprocessing.tensor(read_picture(data / "photos" / f"{stem}.JPEG"))
        scores = run(session, [session.get_outputs()[0].name], {name: x})[0].ravel()
        assert synsets[scores.argmax()] == stem[:9]
        assert scores.max() > 0.5
