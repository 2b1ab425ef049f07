"""Awkward picture files load right, or fail with one clear line."""

from __future__ import annotations

import io
import os
import threading
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from PIL.Image import Image

from heatcli.errors import PictureError
from heatcli.pictures import reading
from heatcli.pictures.reading import read_picture, to_eight_bits

UNREADABLE = {
    "broken.png": "not a picture that can be read",
    "broken_data_stream.png": "unrecognized data stream",
    "truncated_image.png": "truncated",
    "truncated_jpeg.jpg": "truncated",
}


def saved(image: Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def quadrants(size: int = 16) -> np.ndarray:
    """Red, green / blue, black: every rotation and flip of it is different."""
    pixels = np.zeros((size, 2 * size, 3), np.uint8)
    pixels[: size // 2, :size, 0] = pixels[: size // 2, size:, 1] = pixels[size // 2 :, :size, 2] = 255
    return pixels


def test_every_awkward_file_loads_or_says_why(data: Path) -> None:
    files = sorted((data / "awkward").iterdir())
    assert len(files) == 27
    for path in files:
        if path.name in UNREADABLE:
            with pytest.raises(PictureError, match=UNREADABLE[path.name]) as caught:
                read_picture(path)
            assert str(caught.value).startswith(f"{path}: ")
            assert "\n" not in str(caught.value)
        else:
            picture = read_picture(path)
            assert picture.mode == "RGB"
            assert min(picture.size) >= 1


def test_turned_and_deep_copies_show_the_same_person(data: Path) -> None:
    folder = data / "awkward"
    upright = np.asarray(read_picture(folder / "hopper.png"), np.float64)
    for name in ("hopper_orientation_3.jpg", "hopper_orientation_6.jpg", "hopper.gif"):
        assert np.abs(np.asarray(read_picture(folder / name)) - upright).mean() < 12, name
    grey = np.asarray(read_picture(folder / "hopper_16bit.pgm"), np.float64)
    assert np.abs(grey.mean(axis=2) - upright @ [0.299, 0.587, 0.114]).mean() < 3
    assert read_picture(folder / "orientation_rectangle.jpg").size == (1, 2)
    assert read_picture(folder / "tRNS_null_1x1.png").getpixel((0, 0)) == (255, 255, 255)


def test_orientation_in_xmp_turns_a_png(data: Path) -> None:
    path = data / "awkward" / "xmp_tags_orientation.png"
    with PIL.Image.open(path) as stored:
        assert stored.getexif()[0x112] == 3
        turned = np.asarray(stored.convert("RGB"))[::-1, ::-1]
    assert np.array_equal(np.asarray(read_picture(path)), turned)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: np.rot90(a, 2).transpose(1, 0, 2)),
        (8, np.rot90),
    ],
)
def test_exif_orientation_is_applied_once(format: str, orientation: int, upright) -> None:
    exif = PIL.Image.Exif()
    exif[0x112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    content = saved(PIL.Image.fromarray(quadrants()), format, exif=exif, **options)
    assert np.array_equal(np.asarray(read_picture(content)), upright(quadrants()))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "La", "RGBa"])
def test_transparency_is_laid_on_white(mode: str) -> None:
    image = PIL.Image.new("RGBA", (3, 1), (0, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    image.putpixel((2, 0), (0, 0, 0, 102))
    through = {"La": "LA", "PA": "RGBA"}.get(mode)
    given = image.convert(through) if through else image
    if mode == "PA":
        palette = PIL.Image.new("PA", (3, 1))
        palette.putpalette([0, 0, 0] * 256)
        palette.putdata([(0, 255), (0, 0), (0, 102)])
        given = palette
    elif mode != given.mode:
        given = given.convert(mode)
    assert given.mode == mode
    assert [read_picture(given).getpixel((x, 0)) for x in range(3)] == [(0,) * 3, (255,) * 3, (153,) * 3]


@pytest.mark.parametrize(("mode", "colour"), [("L", 40), ("RGB", (40, 50, 60))])
def test_a_transparent_colour_of_a_png_becomes_white(mode: str, colour: object) -> None:
    content = saved(PIL.Image.new(mode, (2, 2), colour), "PNG", transparency=colour)
    assert read_picture(content).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_not_clipped(format: str) -> None:
    ramp = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    content = saved(PIL.Image.fromarray(ramp), format)
    expected = np.arange(256).reshape(16, 16)
    for channel in range(3):
        assert np.array_equal(np.asarray(read_picture(content))[:, :, channel], expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 0.1, 0.2], [0, 26, 51]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([1000.0, 1500.0, 2000.0], [0, 128, 255]),
        ([np.nan, np.inf, 1.0], [0, 0, 255]),
    ],
)
def test_float_tiff_is_scaled_by_its_range(values: list[float], expected: list[int]) -> None:
    content = saved(PIL.Image.fromarray(np.asarray([values], np.float32)), "TIFF")
    assert [read_picture(content).getpixel((x, 0))[0] for x in range(3)] == expected


def test_whole_numbers_of_32_bits() -> None:
    def first(values: list[int]) -> list[int]:
        return to_eight_bits(np.asarray([values], np.int32), sixteen=False)[0].tolist()

    assert first([0, 7, 255]) == [0, 7, 255]
    assert first([0, 257, 65535]) == [0, 1, 255]
    assert first([-10, 0, 10]) == [0, 128, 255]
    assert first([4, 4, 4]) == [4, 4, 4]


def test_a_dark_sixteen_bit_pgm_stays_dark() -> None:
    content = saved(PIL.Image.fromarray(np.full((2, 2), 200, np.uint16)), "PPM")
    assert read_picture(content).getpixel((0, 0)) == (1, 1, 1)


def test_cmyk_and_bilevel_and_palette() -> None:
    red = PIL.Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert read_picture(saved(red, "TIFF")).getpixel((0, 0)) == (255, 0, 0)
    assert read_picture(saved(PIL.Image.new("1", (2, 2), 1), "PNG")).getpixel((0, 0)) == (255, 255, 255)
    palette = PIL.Image.new("RGB", (2, 2), (10, 200, 30)).convert("P", palette=PIL.Image.Palette.ADAPTIVE)
    assert read_picture(saved(palette, "GIF")).getpixel((0, 0)) == (10, 200, 30)


def test_the_first_frame_of_an_animation() -> None:
    frames = [PIL.Image.new("RGB", (4, 4), colour) for colour in ("red", "lime", "blue")]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert read_picture(content).getpixel((0, 0)) == (255, 0, 0)


def test_all_kinds_of_sources_give_the_same_picture(tmp_path: Path) -> None:
    path = tmp_path / "q.png"
    PIL.Image.fromarray(quadrants()).save(path)
    with path.open("rb") as stream, PIL.Image.open(path) as image:
        for source in (path, str(path), path.read_bytes(), stream, image, io.BytesIO(path.read_bytes())):
            assert np.array_equal(np.asarray(read_picture(source)), quadrants())


def test_a_given_image_is_not_changed() -> None:
    image = PIL.Image.fromarray(quadrants())
    read_picture(image).paste("white", (0, 0, 8, 8))
    assert np.array_equal(np.asarray(image), quadrants())


def test_what_is_no_picture(tmp_path: Path) -> None:
    text = tmp_path / "cat.jpg"
    text.write_text("I am a text file")
    with pytest.raises(PictureError, match=r"cat\.jpg: not a picture that can be read \(JPEG, PNG"):
        read_picture(text)
    with pytest.raises(PictureError, match=r"none\.png: no such file"):
        read_picture(tmp_path / "none.png")
    with pytest.raises(PictureError, match="is a folder"):
        read_picture(tmp_path)
    with pytest.raises(PictureError, match="not a picture"):
        read_picture(b"")
    with pytest.raises(PictureError, match="cannot be opened"):
        read_picture("a\0b")
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n"
    with pytest.raises(PictureError, match="not a picture"):
        read_picture(eps)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    with pytest.raises(PictureError, match="not a regular file"):
        read_picture(pipe)


@pytest.mark.parametrize("side", [9000, 14000])
def test_too_many_pixels_are_refused_before_decoding(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    head = saved(PIL.Image.new("1", (8, 8)), "BMP")  # the sizes stand in the header, the pixels are not there
    large = head[:18] + side.to_bytes(4, "little") + side.to_bytes(4, "little") + head[26:]
    monkeypatch.setattr(PIL.Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(PictureError, match=r"80 million .* --max-pixels"):
        read_picture(large)


def test_a_stream_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_BYTES", 1000)
    with pytest.raises(PictureError, match="that is no picture"):
        read_picture(io.BytesIO(bytes(2000)))


def test_warnings_stay_away_in_threads_and_filters_come_back() -> None:
    def noisy() -> None:
        with reading._quiet():
            start.wait()
            warnings.warn_explicit("loud", UserWarning, "x.py", 1, module="PIL.Image")

    before = list(warnings.filters)
    start = threading.Barrier(4)
    failed: list[object] = []
    kept, threading.excepthook = threading.excepthook, failed.append
    try:
        threads = [threading.Thread(target=noisy) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        threading.excepthook = kept
    assert failed == []
    assert warnings.filters == before


def test_the_picture_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    frames = [PIL.Image.new("P", (4, 4), colour) for colour in (0, 1)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        read_picture(path)
    path.unlink()
