"""Mutated pictures of every format: in their bytes, chunks, sizes, names; and things that are no files."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.PngImagePlugin

from tests.fuzz import networks
from tests.fuzz.cases import Case, Chance
from tests.fuzz.damage import damaged, file_name, word

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".tif", ".bmp", ".ppm", ".avif", ".jp2", ".npy", ".PNG", ".pgm")
SIDES = (0, 1, 2, 255, 256, 16383, 65500, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def saved(image: PIL.Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def image(chance: Chance, mode: str) -> PIL.Image.Image:
    """Return a small picture of a mode."""
    width, height = chance.choice(((12, 9), (8, 8), (1, 1), (1, 30), (40, 2), (33, 17)))
    numbers = chance.numbers
    if mode in ("I;16", "I;16B"):
        return PIL.Image.fromarray(numbers.integers(0, 65536, (height, width), dtype=np.uint16))
    if mode == "I":
        return PIL.Image.fromarray(numbers.integers(-(2**31), 2**31, (height, width)).astype(np.int32))
    if mode == "F":
        values = numbers.uniform(-1, 1, (height, width)).astype(np.float32)
        values[0, 0] = chance.choice((0, np.nan, np.inf, -np.inf, 3e38))
        return PIL.Image.fromarray(values)
    plain = PIL.Image.fromarray(numbers.integers(0, 256, (height, width, 4), dtype=np.uint8), "RGBA")
    if mode == "P":
        return plain.convert("RGB").quantize(chance.choice((2, 16, 200)))
    if mode == "1":
        return plain.convert("L").convert("1")
    return (
        plain.convert("RGB").convert(mode)
        if mode in ("CMYK", "YCbCr", "LAB", "HSV") and mode != "LAB"
        else plain.convert(mode)
    )


def exif(chance: Chance) -> bytes:
    found = PIL.Image.Exif()
    found[0x0112] = chance.choice((1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 65535))
    found[0x010E] = "x" * chance.choice((1, 100))
    content = found.tobytes()
    return damaged(chance, content) if chance.happens(0.4) else content


def jpeg(chance: Chance) -> bytes:
    options = {"quality": chance.choice((1, 50, 95)), "progressive": chance.happens(0.4)}
    if chance.happens(0.5):
        options["exif"] = exif(chance)
    if chance.happens(0.2):
        options["icc_profile"] = chance.randbytes(200)
    if chance.happens(0.2):
        options["xmp"] = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
    return saved(image(chance, chance.choice(("RGB", "L", "CMYK", "RGB"))), "JPEG", **options)


def png(chance: Chance) -> bytes:
    mode = chance.choice(("RGB", "RGBA", "L", "LA", "P", "1", "I;16"))
    options = {}
    picture = image(chance, mode)
    if mode == "P" and chance.happens(0.6):
        options["transparency"] = chance.choice((0, 1, bytes(range(16))))
    if mode in ("L", "RGB") and chance.happens(0.3):
        options["transparency"] = 7 if mode == "L" else (1, 2, 3)
    if chance.happens(0.4):
        told = PIL.PngImagePlugin.PngInfo()
        text = word(chance).encode("utf-8", "replace").decode()
        told.add_text("Comment", text, zip=chance.happens(0.5))
        told.add_itxt("Title", text)
        options["pnginfo"] = told
    if chance.happens(0.3):
        options["exif"] = exif(chance)
    if chance.happens(0.15):
        options |= {"save_all": True, "append_images": [image(chance, "RGB")]}
        picture = picture.convert("RGB")
        options.pop("transparency", None)
    return saved(picture, "PNG", **options)


def gif(chance: Chance) -> bytes:
    frames = [image(chance, "P") for _ in range(chance.choice((1, 1, 3)))]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:], loop=0, interlace=chance.randrange(2))


def tiff(chance: Chance) -> bytes:
    mode = chance.choice(("RGB", "L", "F", "I;16", "CMYK", "1", "RGBA", "P"))
    compression = chance.choice((None, "tiff_lzw", "tiff_deflate", "packbits", "tiff_adobe_deflate"))
    if mode == "1":
        compression = chance.choice((None, "group3", "group4"))
    if mode in ("RGB", "L") and chance.happens(0.2):
        compression = "jpeg"
    return saved(image(chance, mode), "TIFF", compression=compression)


def webp(chance: Chance) -> bytes:
    return saved(image(chance, chance.choice(("RGB", "RGBA"))), "WEBP", lossless=chance.happens(0.5))


def plain_text(chance: Chance) -> bytes:
    """Netpbm files, whose headers are words."""
    kind = chance.choice((b"P2", b"P3", b"P1", b"P5", b"P6", b"PF", b"Pf", b"P7"))
    words = [
        chance.choice((b"3", b"4", b"0", b"-1", b"99999999999", b"65536", b"x", b"# c\n3", b"1" * 40)) for _ in range(3)
    ]
    return kind + b"\n" + b" ".join(words) + b"\n" + chance.choice((b"1 2 3 " * 20, chance.randbytes(80), b""))


MAKERS = {
    "JPEG": jpeg,
    "PNG": png,
    "GIF": gif,
    "TIFF": tiff,
    "WEBP": webp,
    "BMP": lambda chance: saved(image(chance, chance.choice(("RGB", "L", "P", "1", "RGBA"))), "BMP"),
    "PPM": lambda chance: saved(image(chance, chance.choice(("RGB", "L", "1", "I"))), "PPM"),
    "netpbm": plain_text,
    "AVIF": lambda chance: saved(image(chance, chance.choice(("RGB", "RGBA"))), "AVIF", speed=10),
    "JPEG2000": lambda chance: saved(image(chance, chance.choice(("RGB", "L", "RGBA"))), "JPEG2000"),
    "other": lambda chance: saved(
        image(chance, "RGB"), chance.choice(("EPS", "ICO", "TGA", "PCX", "SGI", "DDS", "PDF"))
    ),
}
"""By format; AVIF and JPEG 2000 where Pillow has them."""


def valid(chance: Chance) -> tuple[str, bytes]:
    """Return a picture without fault, with its format."""
    kind = chance.choice(list(MAKERS))
    try:
        return kind, MAKERS[kind](chance)
    except (OSError, KeyError):  # this Pillow writes no such files
        return "PNG", png(chance)


def chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    found, place = [], 8
    while place + 8 <= len(content):
        (size,) = struct.unpack(">I", content[place : place + 4])
        found.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + size]))
        place += 12 + size
    return found


def with_chunks(chance: Chance, content: bytes) -> bytes:
    """Change, reorder, drop or repeat the chunks of a PNG; checksums are right most of the time."""
    parts = chunks(content)
    match chance.randrange(6):
        case 0:
            chance.shuffle(parts)
        case 1:
            parts.insert(chance.randrange(len(parts) + 1), chance.choice(parts))
        case 2:
            parts.pop(chance.randrange(len(parts)))
        case 3:
            kind, data = parts[0]
            if len(data) >= 13:
                fields = list(struct.unpack(">IIBBBBB", data[:13]))
                place = chance.randrange(7)
                fields[place] = chance.choice(SIDES) if place < 2 else chance.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
                parts[0] = (kind, struct.pack(">IIBBBBB", *fields) + data[13:])
        case 4:
            place = chance.randrange(len(parts))
            kind, data = parts[place]
            if kind == b"IDAT" and chance.happens(0.7):
                data = zlib.compress(damaged(chance, zlib.decompress(data)))
            else:
                data = damaged(chance, data)
            parts[place] = (kind, data)
        case 5:
            bomb = zlib.compress(bytes(chance.choice((10**6, 10**8))), 9)
            parts.insert(1, (chance.choice((b"zTXt", b"iCCP", b"iTXt", b"IDAT")), b"x\0\0" + bomb))
    made = [content[:8]]
    for kind, data in parts:
        check = zlib.crc32(kind + data) if chance.happens(0.95) else 0
        made.append(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check))
    return b"".join(made)


def with_segments(chance: Chance, content: bytes) -> bytes:
    """Change the segments of a JPEG: sizes in the frame header, order, repetitions."""
    parts, place = [], 2
    while place + 4 <= len(content) and content[place] == 0xFF and content[place + 1] != 0xDA:
        size = int.from_bytes(content[place + 2 : place + 4], "big") + 2
        parts.append(content[place : place + size])
        place += size
    rest = content[place:]
    if not parts:
        return damaged(chance, content)
    match chance.randrange(4):
        case 0:
            chance.shuffle(parts)
        case 1:
            parts.insert(chance.randrange(len(parts)), chance.choice(parts) * chance.choice((1, 50)))
        case 2:
            parts.pop(chance.randrange(len(parts)))
        case 3:
            for number, part in enumerate(parts):
                if part[1] in (0xC0, 0xC1, 0xC2) and len(part) > 10:
                    changed = bytearray(part)
                    at = chance.choice((5, 7))
                    changed[at : at + 2] = (chance.choice(SIDES) & 0xFFFF).to_bytes(2, "big")
                    if chance.happens(0.3):
                        changed[chance.randrange(9, len(changed))] = chance.randrange(256)
                    parts[number] = bytes(changed)
    return content[:2] + b"".join(parts) + rest


def with_sides(chance: Chance, content: bytes) -> bytes:
    """Write extreme sides wherever the header has small numbers."""
    changed = bytearray(content)
    width, order = chance.choice(((2, "little"), (2, "big"), (4, "little"), (4, "big")))
    small = [
        place
        for place in range(2, min(len(changed) - width, 200))
        if 0 < int.from_bytes(changed[place : place + width], order) < 64
    ]
    for place in chance.some(small, 1, 2) if small else ():
        changed[place : place + width] = (chance.choice(SIDES) & ((1 << 8 * width) - 1)).to_bytes(width, order)
    return bytes(changed)


def hostile(chance: Chance) -> tuple[str, bytes]:
    """Return a picture that something was done to, and what."""
    kind, content = valid(chance)
    match chance.randrange(9):
        case 0:
            return f"{kind} as it is", content
        case 1:
            other, more = valid(chance)
            return f"{kind} and {other}", content + more
        case 2:
            other, more = valid(chance)
            cut = chance.randrange(1, len(content))
            return f"{kind} and then {other}", content[:cut] + more[min(cut, len(more) - 1) :]
        case 3:
            return f"{kind} with sides", with_sides(chance, content)
        case 4 | 5 if kind == "PNG":
            return "PNG with chunks", with_chunks(chance, content)
        case 4 | 5 if kind == "JPEG":
            return "JPEG with segments", with_segments(chance, content)
        case 6:
            return f"{kind} cut", content[: chance.randrange(len(content))]
    return f"{kind} damaged", damaged(chance, content, 8)


def strange(chance: Chance, folder: Path, name: str) -> str:
    """Put something that is no regular file where a picture is looked for."""
    path = folder / name
    match chance.randrange(7):
        case 0:
            os.mkfifo(path)
        case 1:
            path.symlink_to(path.name)
        case 2:
            path.symlink_to(chance.choice(("/dev/zero", "/dev/null", "/etc/passwd", "nowhere", "/proc/self/mem")))
        case 3:
            path.mkdir()
        case 4:
            path.write_bytes(b"")
        case 5:
            path.write_bytes(b"\x89PNG\r\n\x1a\n")
        case _:
            with path.open("wb") as stream:
                stream.truncate(chance.choice((10**6, 2**33)))
    return "no regular file"


def make(chance: Chance, folder: Path) -> Case:
    """Write some pictures and have one command look at them."""
    model = networks.network(chance.choice(("plain", "plain", "residual", "raw_bytes", "open_sizes")))
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    photos = folder / "photos"
    photos.mkdir()
    told, names = [], []
    for number in range(chance.choice((1, 1, 2, 4))):
        name = (file_name(chance) if chance.happens(0.1) else f"p{number}") + chance.choice(SUFFIXES[:1] * 6 + SUFFIXES)
        if (photos / name).exists() or (photos / name).is_symlink():
            continue
        if chance.happens(0.06):
            told.append(f"{name!r}: {strange(chance, photos, name)}")
        else:
            what, content = hostile(chance)
            (photos / name).write_bytes(content)
            told.append(f"{name[:30]!r}: {what}")
        names.append(f"photos/{name}")
    arguments, stdin, may_write = command(chance, names, folder)
    return Case(arguments, stdin, may_write, [], told)


def command(chance: Chance, names: list[str], folder: Path) -> tuple[list[str], str | None, list[str]]:
    """Return a command on the pictures, its stdin, and what it may write."""
    model = ["-m", "m.onnx"]
    if chance.happens(0.1):
        model += ["--size", chance.choice(("8", "64x1", "1"))]
    if chance.happens(0.2):
        model += ["--fit", chance.choice(("crop", "squash", "pad"))]
    workers = [] if chance.happens(0.01) else ["--workers", "threads"]
    match chance.choice(
        ("folder",) * 4 + ("file",) * 5 + ("stdin", "stdin", "compare", "evaluate", "fit", "masks", "report")
    ):
        case "folder":
            more = ["--report", "out/r.html"] if chance.happens(0.2) else []
            return ["explain", "photos", *model, "-o", "out/", "--json", *workers, "--jobs", "1", *more], None, ["out"]
        case "stdin":
            regular = [name for name in names if (folder / name).is_file() and (folder / name).stat().st_size < 1 << 25]
            if regular:
                return ["explain", "-", *model, "-o", "-"], regular[0], []
        case "compare":
            return ["compare", *names, *model, "-o", "out/grid.png", "--methods", "deep-taylor"], None, ["out"]
        case "evaluate":
            return ["evaluate", "photos", *model, "--json", "--methods", "deep-taylor", "--jobs", "1"], None, []
        case "fit":
            fitting = ["--epochs", "1", "--seconds", "2", "--memory", "1"]
            return ["fit", "m.onnx", "--images", "photos", "-o", "out/m.npz", *fitting, *model[2:]], None, ["out"]
        case "masks":
            pixels = chance.numbers.integers(0, 256, (9, 12, 3), dtype=np.uint8)
            PIL.Image.fromarray(pixels).save(folder / "p0.png")
            return ["evaluate", "p0.png", *model, "--json", "--masks", "photos", "--methods", "gradient"], None, []
        case "report":
            (folder / "maps").mkdir()
            record = '{"schema":1,"input":"%s","output":"photos/p0.png","target":{"index":1,"label":"x"},"error":null}'
            lines = [record % name.replace("\\", "\\\\").replace('"', '\\"') for name in names]
            (folder / "maps" / "records.jsonl").write_text("\n".join(lines), "utf-8", "surrogatepass")
            return ["report", "maps", "--json"], None, ["maps/report.html", "maps/summary.csv"]
    more = ["--style", chance.choice(("overlay", "side-by-side", "contour", "heatmap"))]
    if chance.happens(0.2):
        more += ["--size-like", "network"]
    return ["explain", *names[:2], *model, "-o", "out/", "--json", *workers, "--jobs", "1", *more], None, ["out"]
