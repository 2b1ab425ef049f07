"""Picture files made to harm: refused in one line before much memory is taken, or read as far as they are sound."""

from __future__ import annotations

import io
import random
import re
import struct
import sys
import tracemalloc
import zlib

import numpy as np
import PIL.Image
import pytest
from PIL.Image import Image

import heatcli
from heatcli.cli import main
from heatcli.errors import PictureError
from heatcli.pictures.reading import ANIMATION, PAGES, left_aside, read_picture
from tests.apart import peak
from tests.whole import End, f, node, save

MANY = 65_000


def saved(image: Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*chunks: bytes, width: int = 1, height: int = 1) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(2)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def tiff(*entries: tuple[int, int, int, int], after: int = 0, data: bytes = b"") -> bytes:
    """Return a TIFF of one directory: tag, kind, count, value each; ``after`` is where the next one is said to be."""
    rows = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + rows + struct.pack("<I", after) + data


GREY = ((258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1))


def sized(width: int, height: int, *more: tuple[int, int, int, int], **options) -> bytes:
    return tiff((256, 4, 1, width), (257, 4, 1, height), *GREY, *more, **options)


def webp(width: int, height: int) -> bytes:
    """An animation's head, with a canvas of that size and nothing in it."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    frame = saved(PIL.Image.new("RGB", (1, 1)), "WEBP", lossless=True)[12:]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + sides + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif(width: int, height: int) -> bytes:
    small = saved(PIL.Image.new("P", (2, 2)), "GIF")
    return small[:6] + struct.pack("<HH", width, height) + small[10:]


def avif(width: int, height: int) -> bytes:
    small = saved(PIL.Image.new("RGB", (8, 8)), "AVIF")
    place = small.index(b"ispe") + 8
    return small[:place] + struct.pack(">II", width, height) + small[place + 8 :]


def jpeg2000(width: int, height: int) -> bytes:
    small = saved(PIL.Image.new("RGB", (8, 8)), "JPEG2000")
    place = small.index(b"ihdr") + 4
    return small[:place] + struct.pack(">II", height, width) + small[place + 8 :]


GIANTS = {
    "png": png(width=MANY, height=MANY),
    "gif": gif(MANY, MANY),
    "gif within Pillow's limit": gif(9_500, 9_500),
    "webp": webp(16_000, 16_000),
    "webp of sixteen million": webp(1 << 24, 1 << 24),
    "avif": avif(MANY, MANY),
    "jpeg 2000": jpeg2000(MANY, MANY),
    "tiff": sized(MANY, MANY, (273, 4, 1, 200), (278, 4, 1, MANY), (279, 4, 1, 1)),
    "ppm": b"P6 65000 65000 255\n",
    "bmp": saved(PIL.Image.new("1", (8, 8)), "BMP")[:18] + struct.pack("<ii", MANY, -MANY) + bytes(100),
}


@pytest.mark.parametrize("kind", GIANTS)
def test_giants_are_refused_before_memory_is_taken(kind):
    tracemalloc.start()
    with pytest.raises(PictureError) as caught:
        read_picture(GIANTS[kind])
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 20 << 20
    assert "\n" not in str(caught.value)
    assert re.search("million that are opened|broken picture|not a picture that can be read", str(caught.value))


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells how much memory a process had")
def test_giants_do_not_need_the_memory_that_they_ask_for(tmp_path):
    """Python with Pillow and NumPy takes some 60 MiB."""
    for place, content in enumerate(GIANTS.values()):
        (tmp_path / f"{place}.bin").write_bytes(content)
    code = (
        "import sys, pathlib\nfrom heatcli.pictures.reading import read_picture\n"
        "from heatcli.errors import PictureError\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try:\n        read_picture(path)\n"
        "    except PictureError:\n        print(path.name)\n"
    )
    refused, megabytes = peak(code, tmp_path)
    assert len(refused) == len(GIANTS)
    assert megabytes < 150


def test_the_limit_can_be_raised_and_lowered():
    white = PIL.Image.new("1", (20_000, 10_000), 1)  # beyond what Pillow itself opens
    content, before = saved(white, "PNG"), PIL.Image.MAX_IMAGE_PIXELS
    with pytest.raises(PictureError, match=r"has more pixels than the 80 million .* --max-pixels "):
        read_picture(content)
    assert read_picture(content, 200_000_000).size == (20_000, 10_000)
    assert before == PIL.Image.MAX_IMAGE_PIXELS
    with pytest.raises(PictureError, match=r"8×8 pixels are more than the 6e-05 million .* --max-pixels 64"):
        read_picture(saved(PIL.Image.new("1", (8, 8)), "PNG"), 60)


BOMB = zlib.compress(bytes(300 << 20), 9)
BOMBS = {
    "text": png(chunk(b"zTXt", b"Comment\0\0" + BOMB)),
    "many texts": png(*[chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 20))) for _ in range(100)]),
    "international text": png(chunk(b"iTXt", b"Comment\0\1\0\0\0" + BOMB)),
    "colour profile": png(chunk(b"iCCP", b"profile\0\0" + BOMB)),
    "pixels": b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) + chunk(b"IDAT", BOMB) + chunk(b"IEND", b""),
    "exif": png(chunk(b"eXIf", b"Exif\0\0II*\0\x08\0\0\0" + b"\xff\xff" * 100_000)),
    "a chunk of four gigabytes": png()[:33] + struct.pack(">I", 0xFFFFFFF0) + b"zTXt",
}  # fmt: skip


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_of_a_few_bytes(kind):
    tracemalloc.start()
    try:
        found = read_picture(BOMBS[kind])
    except PictureError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert found.size == (1, 1)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 80 << 20


HEADERS = {
    "ppm of many digits": b"P6 " + b"9" * 5000 + b" 1 255\n",
    "ppm without an end": b"P6 " + b"#" * 100_000,
    "ppm of negative size": b"P6 -5 5 255\n" + bytes(75),
    "ppm of no size": b"P6 0 0 255\n",
    "ppm of depth 0": b"P6 2 2 0\n" + bytes(12),
    "tiff that points at itself": sized(2, 2, (273, 4, 1, 8), (278, 4, 1, 2), (279, 4, 1, 4), after=8, data=bytes(4)),
    "tiff whose strip lies outside": sized(200, 200, (273, 4, 1, 10**9), (278, 4, 1, 200), (279, 4, 1, 40_000)),
    "tiff of no rows a strip": sized(200, 200, (273, 4, 1, 122), (278, 4, 1, 0), (279, 4, 1, 40_000)),
    "tiff with many strips": sized(200, 200, (273, 4, 2**31, 122), (278, 4, 1, 1), (279, 4, 2**31, 122)),
    "tiff of giant tiles": sized(200, 200, (322, 4, 1, 2**30), (323, 4, 1, 2**30), (324, 4, 1, 8), (325, 4, 1, 9)),
    "tiff of a thousand samples": sized(200, 200, (277, 3, 1, 1000), (273, 4, 1, 122), (278, 4, 1, 200)),
    "tiff of deflated tiles": sized(200, 200, (259, 3, 1, 8), (322, 4, 1, 65536), (323, 4, 1, 65536), (324, 4, 1, 8)),
    "tiff of nothing": b"II*\0" + bytes(4),
    "jpeg of nothing": b"\xff\xd8\xff",
    "gif of nothing": b"GIF89a" + bytes(7),
    "webp of nothing": b"RIFF\0\0\0\0WEBPVP8X",
    "avif of nothing": b"\0\0\0\x1cftypavif" + bytes(16),
    "bmp of nothing": b"BM" + bytes(60),
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(/etc/passwd) run\n",
    "an icon": b"\0\0\1\0\1\0" + bytes(16),
    "vector graphics": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='/etc/passwd'/></svg>",
}


def progressive(scans: int) -> bytes:
    """A JPEG whose last scan comes again and again, followed by its end and what looks like many scans more."""
    whole = saved(PIL.Image.new("RGB", (64, 64), "red"), "JPEG", progressive=True)
    assert whole.endswith(b"\xff\xd9")
    last = whole.rindex(b"\xff\xda")
    times = scans - whole.count(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * times + whole[-2:] + b"\xff\xda\x00\x02" * 1000


def test_a_small_jpeg_that_is_gone_over_without_end():
    """At 80 million pixels it would take its decoder hours, in which nothing stops it."""
    assert read_picture(progressive(100)).size == (64, 64)
    with pytest.raises(PictureError, match="goes over its pixels more than 100 times"):
        read_picture(progressive(101))


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8" + b"\xff" * 10_000_000,
        b"\xff\xd8\xff" + b"\xe0\x00\x02\xff" * 1_000_000,
        b"\xff\xd8\xff\xe0\xff",
        b"\xff\xd8\xff",
    ],
    ids=["fill", "segments", "cut", "start"],
)
def test_markers_of_a_jpeg_without_end(content: bytes):
    with pytest.raises(PictureError, match=r"goes over its pixels|not a picture|broken picture"):
        read_picture(content)


def test_what_hides_a_picture_in_a_segment_is_no_scan():
    inside = saved(PIL.Image.new("RGB", (8, 8)), "JPEG")
    whole = saved(PIL.Image.new("RGB", (64, 64)), "JPEG", comment=b"\xff\xda\x00\x02" * 1000 + inside)
    assert read_picture(whole).size == (64, 64)


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_that_make_no_sense(kind):
    tracemalloc.start()
    try:
        read_picture(HEADERS[kind])
    except PictureError as error:
        assert "\n" not in str(error)  # noqa: PT017
        assert len(str(error)) < 400  # noqa: PT017
    else:
        assert kind == "tiff that points at itself"
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 20 << 20


def test_a_file_of_any_length_is_not_read(tmp_path):
    path = tmp_path / "x.webp"
    path.write_bytes(saved(PIL.Image.new("RGB", (8, 8)), "WEBP"))
    with path.open("r+b") as stream:
        stream.truncate(30 << 30)
    with pytest.raises(PictureError, match="has more than 1 GiB; that is no picture"):
        read_picture(path)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "WEBP", "AVIF", "JPEG", "BMP", "PPM", "JPEG2000"])
def test_damage_ends_in_an_error_or_in_a_picture(kind):
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    whole, chance = saved(PIL.Image.fromarray(noise), kind), random.Random(kind)
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            content[chance.randrange(min(len(content), 400))] = chance.randrange(256)
        cut = content[: chance.choice((len(content), chance.randrange(len(content))))]
        try:
            found = read_picture(bytes(cut))
        except PictureError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert found.mode == "RGB"
            assert found.width * found.height <= 80_000_000


# several pictures in a file -------------------------------------------------------------------------------------------

COLOURS = ("red", "lime", "blue")


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF", "TIFF"])
def test_the_first_of_several_is_shown_and_that_is_said(kind):
    frames = [PIL.Image.new("RGB", (16, 16), colour) for colour in COLOURS]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    found = read_picture(content)
    assert np.abs(np.subtract(found.getpixel((8, 8)), (255, 0, 0))).max() <= 4
    assert left_aside(found) == (PAGES if kind == "TIFF" else ANIMATION,)
    assert left_aside(read_picture(saved(frames[0], kind))) == ()
    assert left_aside(found.resize((4, 4))) == left_aside(found)


def test_a_photograph_with_a_second_one_inside_is_no_animation():
    """Telephones keep depths and other exposures behind the picture (MPO)."""
    frames = [PIL.Image.new("RGB", (16, 16), colour) for colour in COLOURS]
    found = read_picture(saved(frames[0], "MPO", save_all=True, append_images=frames[1:]))
    assert found.getpixel((8, 8))[0] > 250
    assert left_aside(found) == ()


@pytest.fixture
def model(tmp_path):
    nodes = [node("Conv", "x k", "c"), node("Relu", "c", "r"), node("GlobalAveragePool", "r", "m"),
             node("Flatten", "m", "y")]  # fmt: skip
    return save(tmp_path / "m.onnx", nodes, [End("x", [1, 3, 8, 8])], [End("y", [1, 5])], {"k": f(5, 3, 3, 3)})


def test_an_explanation_says_that_it_is_about_the_first_frame(tmp_path, model, capsys):
    frames = [PIL.Image.new("RGB", (16, 16), colour) for colour in COLOURS]
    path = tmp_path / "a.gif"
    path.write_bytes(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    explainer = heatcli.load(model, preprocess="unit")
    assert ANIMATION in explainer.explain(path).warnings
    frames[0].save(tmp_path / "b.png")
    assert ANIMATION not in explainer.explain(tmp_path / "b.png").warnings
    assert main(["explain", str(path), "-m", str(model), "--preprocess", "unit", "-o", str(tmp_path)]) == 0
    assert "its first frame is explained" in " ".join(capsys.readouterr().err.split())


def test_max_pixels_on_the_command_line(tmp_path, model, capsys):
    PIL.Image.new("RGB", (100, 100)).save(tmp_path / "b.png")
    command = ["compare", str(tmp_path / "b.png"), "-m", str(model), "--preprocess", "unit", "-o", str(tmp_path)]
    assert main([*command, "--max-pixels", "9k"]) == 1
    assert "100×100 pixels are more than the 0.009 million that are opened" in capsys.readouterr().err
    assert main([*command, "--max-pixels", "10k"]) == 0


# depth and transparency -----------------------------------------------------------------------------------------------


def test_the_transparent_shade_of_a_deep_png_becomes_white():
    shades = np.array([[0, 1000, 65535, 1000]], np.uint16)
    content = saved(PIL.Image.fromarray(shades), "PNG", transparency=1000)
    assert [read_picture(content).getpixel((x, 0))[0] for x in range(4)] == [0, 255, 255, 255]


def test_deep_pixels_take_little_more_memory_than_they_have():
    deep = PIL.Image.fromarray(np.full((3000, 3000), 700, np.uint16))
    content = saved(deep, "TIFF")
    tracemalloc.start()
    assert read_picture(content).getpixel((0, 0)) == (3, 3, 3)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 100 << 20
