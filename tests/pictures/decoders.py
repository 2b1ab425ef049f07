"""Small decoders written from the specifications of PNG, GIF, TIFF and PNM, to compare pixels with.

Slow and strict: they read what the test pictures need, and share nothing with Pillow.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

Array = np.ndarray
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""Adam7: first row, first column, step down, step across of each pass (PNG 8.2)."""


def png(content: bytes) -> Array:
    """Return the samples of a PNG, (H, W, channels) uint8 or uint16; a palette is looked up, with its alpha."""
    chunks: dict[bytes, bytes] = {}
    at = 8
    while b"IEND" not in chunks:
        (length,) = struct.unpack(">I", content[at : at + 4])
        kind = content[at + 4 : at + 8]
        chunks[kind] = chunks.get(kind, b"") + content[at + 8 : at + 8 + length]
        at += 12 + length
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    raw = zlib.decompress(chunks[b"IDAT"])
    image = np.zeros((height, width, channels), np.uint16)
    for row, column, down, across in PASSES if interlaced else ((0, 0, 1, 1),):
        tall, wide = len(range(row, height, down)), len(range(column, width, across))
        if not tall or not wide:
            continue
        bits = depth * channels
        stride, step = (wide * bits + 7) // 8, max(1, bits // 8)
        lines = np.zeros((tall, stride), np.uint8)
        before = np.zeros(stride, np.uint8)
        for line in range(tall):
            kind, filtered = raw[0], np.frombuffer(raw[1 : 1 + stride], np.uint8)
            raw = raw[1 + stride :]
            before = lines[line] = _unfiltered(kind, filtered, before, step)
        image[row::down, column::across] = _samples(lines, wide, channels, depth)
    if colour == 3:
        palette = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)
        alpha = np.full(len(palette), 255, np.uint8)
        clear = np.frombuffer(chunks.get(b"tRNS", b""), np.uint8)
        alpha[: len(clear)] = clear
        return np.concatenate([palette, alpha[:, None]], axis=1)[image[:, :, 0]]
    return image if depth == 16 else image.astype(np.uint8)


def _unfiltered(kind: int, line: Array, above: Array, step: int) -> Array:
    """Undo a filter of PNG 9.2."""
    if kind == 0:
        return line
    if kind == 2:
        return line + above
    found = np.zeros(len(line) + step, np.int64)  # ``step`` zeros stand to the left
    up = np.concatenate([np.zeros(step, np.int64), above])
    for place in range(step, len(found)):
        left, high, corner = found[place - step], up[place], up[place - step]
        if kind == 1:
            guess = left
        elif kind == 3:
            guess = (left + high) // 2
        else:
            slope = left + high - corner
            guess = min((abs(slope - left), 0, left), (abs(slope - high), 1, high), (abs(slope - corner), 2, corner))[2]
        found[place] = (line[place - step] + guess) & 255
    return found[step:].astype(np.uint8)


def _samples(lines: Array, wide: int, channels: int, depth: int) -> Array:
    if depth == 16:
        return lines.view(">u2").astype(np.uint16).reshape(len(lines), wide, channels)
    if depth == 8:
        return lines.reshape(len(lines), wide, channels).astype(np.uint16)
    bits = np.unpackbits(lines, axis=1)[:, : wide * depth * channels].reshape(len(lines), wide * channels, depth)
    return (bits @ (1 << np.arange(depth)[::-1])).astype(np.uint16).reshape(len(lines), wide, channels)


def gif(content: bytes) -> Array:
    """Return the first frame of a GIF as RGBA, (H, W, 4) uint8; what it does not cover is transparent."""
    width, height, flags = struct.unpack("<HHB", content[6:11])
    at, palette = 13, None
    if flags & 128:
        size = 3 << (flags & 7) + 1
        palette, at = np.frombuffer(content[at : at + size], np.uint8).reshape(-1, 3), at + size
    clear = -1
    while content[at] != 0x2C:
        if content[at] == 0x21 and content[at + 1] == 0xF9 and content[at + 3] & 1:
            clear = content[at + 6]
        at += 2
        while content[at]:
            at += 1 + content[at]
        at += 1
    left, upper, wide, tall, flags = struct.unpack("<HHHHB", content[at + 1 : at + 10])
    at += 10
    if flags & 128:
        size = 3 << (flags & 7) + 1
        palette, at = np.frombuffer(content[at : at + size], np.uint8).reshape(-1, 3), at + size
    least, at = content[at], at + 1
    data = b""
    while content[at]:
        data += content[at + 1 : at + 1 + content[at]]
        at += 1 + content[at]
    places = np.array(_unpacked(data, least)[: wide * tall]).reshape(tall, wide)
    if flags & 64:
        order = [*range(0, tall, 8), *range(4, tall, 8), *range(2, tall, 4), *range(1, tall, 2)]
        places = places[np.argsort(order)]
    frame = np.zeros((height, width, 4), np.uint8)
    alpha = np.where(places == clear, 0, 255).astype(np.uint8)
    assert palette is not None
    frame[upper : upper + tall, left : left + wide] = np.dstack([palette[places], alpha])
    return frame


def _unpacked(data: bytes, least: int) -> list[int]:
    """Undo GIF's variant of LZW."""
    clear, stop = 1 << least, (1 << least) + 1
    table: list[tuple[int, ...]] = []
    found: list[int] = []
    size, held, bits, before = least + 1, 0, 0, ()
    for byte in data:
        held |= byte << bits
        bits += 8
        while bits >= size:
            code = held & (1 << size) - 1
            held, bits = held >> size, bits - size
            if code == clear:
                table = [(place,) for place in range(clear)] + [(), ()]
                size, before = least + 1, ()
                continue
            if code == stop:
                return found
            entry = table[code] if code < len(table) else (*before, before[0])
            found += entry
            if before and len(table) < 4096:
                table.append((*before, entry[0]))
            if len(table) == 1 << size and size < 12:
                size += 1
            before = entry
    return found


def tiff(content: bytes) -> Array:
    """Return the pixels of an RGB TIFF in strips, packed by PackBits or deflate, (H, W, 3) uint8."""
    order = "<" if content[:2] == b"II" else ">"
    (at,) = struct.unpack(f"{order}I", content[4:8])
    (count,) = struct.unpack(f"{order}H", content[at : at + 2])
    tags: dict[int, tuple[int, ...]] = {}
    for entry in range(count):
        tag, kind, number = struct.unpack(f"{order}HHI", content[at + 2 + 12 * entry : at + 10 + 12 * entry])
        letter, size = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4)}.get(kind, ("", 0))
        if not letter:
            continue
        place = at + 10 + 12 * entry
        if size * number > 4:
            (place,) = struct.unpack(f"{order}I", content[place : place + 4])
        tags[tag] = struct.unpack(f"{order}{number}{letter}", content[place : place + size * number])
    (width,), (height,) = tags[256], tags[257]
    strips = (content[begin : begin + size] for begin, size in zip(tags[273], tags[279], strict=True))
    unpack = {32773: _packbits, 8: zlib.decompress}[tags[259][0]]
    pixels = np.frombuffer(b"".join(map(unpack, strips)), np.uint8).reshape(height, width, 3)
    return np.cumsum(pixels, axis=1, dtype=np.uint8) if tags.get(317) == (2,) else pixels


def _packbits(data: bytes) -> bytes:
    found, at = bytearray(), 0
    while at < len(data):
        length = data[at]
        if length < 128:
            found += data[at + 1 : at + 2 + length]
            at += 2 + length
        else:
            found += data[at + 1 : at + 2] * (257 - length) if length > 128 else b""
            at += 1 if length == 128 else 2
    return bytes(found)


def pgm(content: bytes) -> tuple[Array, int]:
    """Return the pixels of a plain-headed binary PGM, (H, W), and which number is white."""
    kind, width, height, most, _ = content.split(maxsplit=4)
    assert kind == b"P5"
    wide, tall, white = int(width), int(height), int(most)
    data = content[-wide * tall * (2 if white > 255 else 1) :]
    return np.frombuffer(data, ">u2" if white > 255 else np.uint8).reshape(tall, wide), white


def on_white(pixels: Array) -> Array:
    """Return (H, W, 3) float64 from RGB or RGBA: the colour over white by its share."""
    values = pixels.astype(np.float64)
    if values.shape[2] < 4:
        return np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values
    share = values[:, :, 3:] / 255
    return values[:, :, :3] * share + 255 * (1 - share)
