"""Mutated labels, settings, records, tensors, lists, boxes, relevance models and archives."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image

from tests.fuzz import networks, pictures
from tests.fuzz.cases import Case, Chance
from tests.fuzz.damage import damaged, file_name, number, real, word

Made = tuple[list[str], list[str], list[str]]
"""Arguments, what may be written, what was done."""


def value(chance: Chance, depth: int = 3):
    """Return anything that JSON can hold, and some that it cannot."""
    match chance.randrange(12 if depth else 7):
        case 0:
            return number(chance)
        case 1:
            return real(chance)
        case 2:
            return word(chance)
        case 3:
            return chance.choice((None, True, False))
        case 4:
            return chance.choice(("rgb", "bgr", "crop", "squash", "imagenet", "8x8", "0.5,0.5,0.5", "NCHW", "softmax"))
        case 5:
            return [real(chance) for _ in range(chance.choice((0, 1, 3, 4)))]
        case 6:
            return chance.choice((8, 224, 0.5, 1 / 255, [8, 8], [0.5] * 3))
        case 7 | 8 | 9:
            return [value(chance, depth - 1) for _ in range(chance.randrange(4))]
        case _:
            return {word(chance)[:50]: value(chance, depth - 1) for _ in range(chance.randrange(4))}


def as_text(chance: Chance, content) -> bytes:
    """Return ``content`` as JSON, often broken."""
    text = json.dumps(content, ensure_ascii=chance.happens(0.5))
    if chance.happens(0.05):
        text = "[" * chance.choice((900, 100_000)) + text
    made = text.encode("utf-8", "surrogatepass")
    if chance.happens(0.1):
        made = text.encode(chance.choice(("utf-16", "utf-8-sig", "latin-1")), "replace")
    return damaged(chance, made) if chance.happens(0.25) else made


def mixed(chance: Chance, usual: dict) -> dict:
    """Return ``usual`` with some values changed, some keys lost and some new."""
    made = dict(usual)
    for key in list(made):
        if chance.happens(0.25):
            made[key] = value(chance)
        elif chance.happens(0.1):
            del made[key]
    if chance.happens(0.2):
        made[word(chance)[:60]] = value(chance)
    return made


EXPLAIN = ["explain", "a.png", "-m", "m.onnx", "-o", "out/", "--json"]


def labels(chance: Chance, folder: Path) -> Made:
    names = ["cat", "dog", "owl", "sea lion"]
    for place in range(4):
        if chance.happens(0.4):
            names[place] = word(chance)
    match chance.randrange(6):
        case 0:
            content, name = "\n".join(names).encode("utf-8", "surrogatepass"), "l.txt"
        case 1:
            content, name = (
                "\n".join(f"n{i:08} {n}" for i, n in enumerate(names)).encode("utf-8", "surrogatepass"),
                "l.txt",
            )
        case 2:
            content, name = as_text(chance, names), "l.json"
        case 3:
            content, name = as_text(chance, {str(i): [f"n{i}", n] for i, n in enumerate(names)}), "l.json"
        case 4:
            content, name = as_text(chance, {"id2label": mixed(chance, dict(enumerate(names)))}), "l.json"
        case _:
            content, name = as_text(chance, value(chance)), chance.choice(("l.json", "l.txt"))
    if chance.happens(0.2):
        content = damaged(chance, content)
    (folder / name).write_bytes(content)
    target = chance.choice((names[0], names[1][:3], "CAT", "n00000001", "0", "-1", word(chance), "top-2"))
    more = ["--target", target.replace("\0", "")[:500]] if chance.happens(0.6) else []
    if chance.happens(0.2):
        return ["inspect", "m.onnx", "--labels", name], [], ["labels"]
    if chance.happens(0.2):
        arguments = [
            "compare",
            "a.png",
            "-m",
            "m.onnx",
            "--labels",
            name,
            "--methods",
            "gradient",
            "-o",
            "out/g.png",
            *more,
        ]
        return arguments, ["out"], ["labels"]
    arguments = [*EXPLAIN, "--labels", name, *more]
    if chance.happens(0.4):
        arguments.remove("--json")
    return arguments, ["out"], ["labels"]


def sidecar(chance: Chance, folder: Path) -> Made:
    usual = {
        "preprocess": "imagenet", "size": [8, 8], "fit": "crop", "resize": 9, "mean": [0.5] * 3, "std": [0.5] * 3,
        "scale": 1 / 255, "channels": "rgb", "layout": "nchw", "labels": ["a", "b", "c", "d"], "activation": "softmax",
        "inputs": {"factor": [[[[1.0]]] * 4]}, "range": [-1, 1],
    }  # fmt: skip
    chosen = {key: usual[key] for key in chance.some(usual, 1, 6)}
    content = mixed(chance, chosen) if chance.happens(0.9) else value(chance)
    (folder / "m.heatcli.json").write_bytes(as_text(chance, content))
    command = chance.choice(
        (EXPLAIN, EXPLAIN, ["inspect", "m.onnx", "--json"], ["models", "describe", "m.onnx", "--size", "8"])
    )
    return command, ["out", "m.heatcli.json"], ["sidecar"]


def processor(chance: Chance, folder: Path) -> Made:
    usual = {
        "do_resize": True, "do_normalize": True, "do_rescale": True, "do_center_crop": True, "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3, "rescale_factor": 1 / 255, "size": {"height": 8, "width": 8}, "crop_size": 8,
        "crop_pct": 0.9, "do_flip_channel_order": False,
    }  # fmt: skip
    timm = {"mean": [0.5] * 3, "std": [0.5] * 3, "input_size": [3, 8, 8], "crop_pct": 0.9, "crop_mode": "center"}
    if chance.happens(0.6):
        name, content = "preprocessor_config.json", mixed(chance, usual)
    else:
        name, content = "config.json", mixed(chance, timm)
        if chance.happens(0.4):
            content = {"pretrained_cfg": content, "id2label": value(chance)}
    (folder / name).write_bytes(as_text(chance, content))
    if chance.happens(0.6):
        (folder / "m.onnx").write_bytes(networks.network("open_sizes").SerializeToString())
    return chance.choice((EXPLAIN, EXPLAIN, ["inspect", "m.onnx"])), ["out"], [name]


RECORD = {
    "schema": 1, "input": "photos/a.png", "output": "maps/a.heatmap.png",
    "model": {"path": "m.onnx", "sha256": "0" * 64, "producer": "x"}, "method": "deep-taylor",
    "settings": {"hash": "1"},
    "preprocessing": {"preset": "imagenet", "source": "default", "size": [8, 8], "fit": "crop", "evidence": ["x"]},
    "target": {"index": 2, "label": "owl", "score": 0.4, "probability": 0.7},
    "top": [{"index": 2, "label": None, "score": 0.4, "probability": 0.7}],
    "ledger": {"score": 0.4, "start": 0.4, "pixels": 0.3, "biases": 0.1, "constants": 0.0, "lost": 0.0, "error": 1e-7},
    "relevance": {"min": 0.0, "max": 1.0, "negative_share": 0.0}, "seconds": {"read": 0.1, "forward": 0.1},
    "versions": {"heatcli": "0.1.0"}, "warnings": ["w"], "error": None,
}  # fmt: skip


def record(chance: Chance) -> dict:
    made = mixed(chance, RECORD) if chance.happens(0.6) else dict(RECORD)
    for key in ("target", "ledger", "model", "settings", "relevance", "seconds"):
        if isinstance(made.get(key), dict) and chance.happens(0.3):
            made[key] = mixed(chance, made[key])
    if chance.happens(0.2):
        made["error"] = {"type": "PictureError", "message": word(chance)}
    return made


def records(chance: Chance, folder: Path) -> Made:
    (folder / "photos").mkdir()
    pixels = chance.numbers.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    for name in ("a.png", "b.png"):
        PIL.Image.fromarray(pixels).save(folder / "photos" / name)
    maps = folder / "maps"
    maps.mkdir()
    if chance.happens(0.7):
        PIL.Image.fromarray(pixels).save(maps / "a.heatmap.png")
    lines = [as_text(chance, record(chance)) for _ in range(chance.choice((1, 2, 5)))]
    if chance.happens(0.15):
        lines.insert(
            0, chance.choice((b"", b"\0" * 5000, b"null", b"[]", b"1", b'"x"', b"{}", b"\xff\xfe", b"x" * 3_000_000))
        )
    content = chance.choice((b"\n", b"\n", b"\n", b"\r\n", b"\n\n", b"")).join(lines) + chance.choice(
        (b"\n", b"\n", b"")
    )
    if chance.happens(0.2):
        content = damaged(chance, content)
    (maps / "records.jsonl").write_bytes(content)
    if chance.happens(0.5):
        arguments = ["report", "maps", *chance.some(["--json", "-v", "--most", "1", "--thumbnails", "32"], 0, 1)]
        if arguments[-1] in ("--most", "--thumbnails"):
            arguments.append(chance.choice(("1", "32", "160")))
        return arguments, ["maps/report.html", "maps/summary.csv"], ["records, reported"]
    arguments = ["explain", "photos", "-m", "m.onnx", "-o", "maps", "--workers", "threads", "--jobs", "1"]
    arguments += chance.some(["--json", "--overwrite", "--plan"], 0, 1)
    return arguments, ["maps"], ["records, resumed"]


def npy(chance: Chance, shape=(1, 3, 8, 8)) -> bytes:
    """Return an .npy file, often with a header that lies."""
    stream = io.BytesIO()
    kind = chance.choice(
        ("float32", "float32", "float64", "uint8", "int64", "float16", "bool", "complex64", ">f4", "U3", "S5", "M8[s]")
    )
    values = chance.numbers.uniform(-1, 1, shape)
    if chance.happens(0.2):
        values.reshape(-1)[0] = real(chance)
    with np.errstate(all="ignore"):
        np.save(stream, np.nan_to_num(values).astype(kind) if np.dtype(kind).kind not in "fc" else values.astype(kind))
    content = stream.getvalue()
    if chance.happens(0.6):
        size = struct.unpack("<H", content[8:10])[0]
        shape_ = chance.choice((
            *("(1, 3, 8, 8)", "(3, 8, 8)", "()", "(0,)", "(-1,)"),
            *(f"({number(chance)},)", "(1, 3, 8, 8,)", "(1,) * 99999999"),
            *("(99999999, 99999999)", "(2**63,)", "('a',)", "(1.5,)"),
            *("None", "(" * 200 + ")" * 200, "(192,)", "(True,)"),
        ))  # fmt: skip
        descr = chance.choice((
            *("'<f4'", "'<f4'", "'<f8'", "'|O'", "'|V8'", "'<f4,<f4'"),
            *("[('a', '<f4')]", "'|S0'", "'<U99999999'", "'m8[s]'"),
            *("1", "None", "'" + "a" * 1000 + "'", "['<f4']", "('<f4', (3, 3))"),
            *("'<f16'", "'|u1'", "'f'", "'>i8'", "'object'"),
        ))  # fmt: skip
        order = chance.choice(("False", "True", "1", "None"))
        header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape_}, }}"
        header = chance.choice(
            (header, header, header, header[:-3], header + "\0", "x" * 70_000, "__import__('os')")
        ).encode()
        version = chance.choice(((1, 0), (1, 0), (2, 0), (3, 0), (9, 9)))
        length = struct.pack(
            "<H" if version == (1, 0) else "<I", (len(header) & 0xFFFF) if chance.happens(0.9) else 65535
        )
        content = b"\x93NUMPY" + bytes(version) + length + header + content[10 + size :]
    return damaged(chance, content) if chance.happens(0.3) else content


def tensors(chance: Chance, folder: Path) -> Made:
    match chance.randrange(4):
        case 0:
            (folder / "m.onnx").write_bytes(networks.network("several_inputs").SerializeToString())
            (folder / "k.npy").write_bytes(npy(chance, (1, 4, 1, 1)))
            return [*EXPLAIN, "--input", "factor=k.npy"], ["out"], ["input by .npy"]
        case 1:
            (folder / "t.npy").write_bytes(npy(chance, (3, 3, 8, 8)))
            arguments = [
                "fit",
                "m.onnx",
                "--images",
                "t.npy",
                "-o",
                "out/m.npz",
                "--epochs",
                "1",
                "--seconds",
                "2",
                "--memory",
                "1",
            ]
            return arguments, ["out"], ["a stack"]
    (folder / "t.npy").write_bytes(npy(chance))
    arguments = ["explain", "t.npy", "-m", "m.onnx", "-o", "out/", "--json"]
    if chance.happens(0.3):
        arguments += ["--range", chance.choice(("-1,1", "-9,9"))]
    return arguments, ["out"], ["a tensor"]


def lists(chance: Chance, folder: Path) -> Made:
    pixels = chance.numbers.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    (folder / "photos").mkdir()
    PIL.Image.fromarray(pixels).save(folder / "photos" / "b.png")
    words = [
        *(
            "a.png",
            "photos/b.png",
            "photos",
            "missing.png",
            "./a.png",
            "../a.png",
            "/etc/passwd",
            "-",
            "",
            "#a",
            "photos/*",
        ),
        *(
            "foo://bar/x.png",
            "file:///etc/passwd",
            "C:\\x.png",
            "~",
            "a.png " * 3,
            "s3:/x",
            "memory://x",
            "*.png",
            "**",
            "[",
            "t.tar",
        ),
        *("/dev/zero", "/proc/self/fd/0", "m.onnx", "list.txt"),
    ]
    lines = [chance.choice(words) if chance.happens(0.7) else word(chance) for _ in range(chance.choice((1, 3, 10)))]
    content = chance.choice(("\n", "\n", "\0", "\r\n")).join(lines).encode("utf-8", "surrogatepass")
    if chance.happens(0.2):
        content = damaged(chance, content)
    (folder / "list.txt").write_bytes(content)
    arguments = ["explain", "--list", "list.txt", "-m", "m.onnx", "-o", "out/", "--workers", "threads", "--jobs", "1"]
    return arguments + chance.some(["--json", "--plan", "--fail-fast"], 0, 1), ["out"], [f"a list {lines[:5]!r}"[:200]]


def boxes(chance: Chance, folder: Path) -> Made:
    own = {"a.png": [[0, 0, 5, 5]], "b.png": [[1, 1, 2, 2]]}
    items = {"items": [{"file": "a.png", "boxes_xyxy_px": [[0, 0, 5, 5]], "size": [12, 9], "label": "a"}]}
    coco = {
        "images": [{"id": 1, "file_name": "a.png", "width": 12, "height": 9}],
        "annotations": [{"image_id": 1, "category_id": 2, "bbox": [0, 0, 5, 5]}],
        "categories": [{"id": 2, "name": "a"}],
    }
    match chance.randrange(5):
        case 0:
            content = {
                **mixed(chance, own),
                "a.png": [[chance.choice((0, 3, -1, 1e308, real(chance), number(chance))) for _ in range(4)]],
            }
        case 1:
            content = {"items": [mixed(chance, items["items"][0])]}
        case 2:
            content = {
                "images": [mixed(chance, coco["images"][0])],
                "annotations": [mixed(chance, coco["annotations"][0])],
                "categories": value(chance) if chance.happens(0.3) else coco["categories"],
            }
        case 3:
            content = value(chance)
        case _:
            (folder / "voc").mkdir()
            side = chance.choice(("0", "5", "-1", "x", "1e400", "nan", "", "&lol;", "99999999999"))
            head = chance.choice(
                ("", '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;"><!ENTITY lol "&b;&b;&b;">]>')
            )
            name = chance.choice(("a.png", "&lol;", "../a.png", ""))
            text = f"""{head}<annotation><filename>{name}</filename><size><width>12</width>
            <height>9</height></size><object><name>a</name><bndbox><xmin>0</xmin><ymin>{side}</ymin><xmax>5</xmax><ymax>6</ymax>
            </bndbox></object></annotation>"""
            made = text.encode()
            (folder / "voc" / "a.xml").write_bytes(damaged(chance, made) if chance.happens(0.4) else made)
            return [*EVALUATE, "--boxes", "voc"], [], ["VOC"]
    (folder / "boxes.json").write_bytes(as_text(chance, content))
    return [*EVALUATE, "--boxes", "boxes.json"], [], ["boxes"]


EVALUATE = ["evaluate", "a.png", "-m", "m.onnx", "--json", "--methods", "gradient", "--checks", "localisation"]


def relevance_models(chance: Chance, folder: Path) -> Made:
    """A file of relevance models whose arrays and description are changed."""
    names = ["layers", "model", "version", "a/v", "a/u", "a/d", "conv.v", "settings", "meta", "header"]
    made = {}
    for name in chance.some(names, 1, 6):
        made[name] = np.array(json.dumps(value(chance))) if chance.happens(0.5) else chance.numbers.normal(size=(4, 4))
    stream = io.BytesIO()
    np.savez(stream, **made)
    content = stream.getvalue()
    if chance.happens(0.5):
        content = damaged(chance, content)
    if chance.happens(0.3):
        raw = io.BytesIO()
        with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in chance.some(names, 1, 4):
                archive.writestr(f"{name}.npy", npy(chance))
        content = raw.getvalue()
    (folder / "m.relevance.npz").write_bytes(content)
    return [*EXPLAIN, "--method", "deep-taylor-minmax"], ["out"], ["relevance models"]


def archives(chance: Chance, folder: Path) -> Made:
    """Archives whose members go elsewhere, are links or devices, lie about their size, or are many."""
    stream = io.BytesIO()
    members = []
    for number_ in range(chance.choice((1, 2, 4))):
        name = chance.choice((
            *(f"{number_}.png", f"{number_}.png", f"sub/{number_}.png"),
            *("../up.png", "/abs.png", "a.png", "C:\\x.png", "..\\x.png"),
            *("x/../../y.png", "./a.png", "a.png/b.png", ".hidden.png"),
            *("CON.png", file_name(chance) + ".png", "z.heatmap.png"),
        ))  # fmt: skip
        members.append((name, pictures.png(chance) if chance.happens(0.7) else pictures.hostile(chance)[1]))
    if chance.happens(0.5):
        with tarfile.open(
            fileobj=stream, mode="w", format=chance.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
        ) as archive:
            for name, content in members:
                entry = tarfile.TarInfo(name.encode("utf-8", "replace").decode())
                entry.size = len(content)
                if chance.happens(0.15):
                    entry.type = chance.choice(
                        (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)
                    )
                    entry.linkname = "/etc/passwd"
                    entry.size = 0
                    archive.addfile(entry)
                else:
                    archive.addfile(entry, io.BytesIO(content))
        name, content = "t.tar", stream.getvalue()
    else:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # two of one name
            with zipfile.ZipFile(stream, "w", chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
                for name, content in members:
                    entry = zipfile.ZipInfo(name.replace("\0", "_").encode("utf-8", "replace").decode() or "x")
                    if chance.happens(0.1):
                        entry.external_attr = 0o120777 << 16
                    archive.writestr(entry, content)
                if chance.happens(0.1):
                    archive.writestr("bomb.png", bytes(10**8), zipfile.ZIP_DEFLATED)
        name, content = "t.zip", stream.getvalue()
    if chance.happens(0.35):
        content = damaged(chance, content)
    (folder / name).write_bytes(content)
    arguments = ["explain", name, "-m", "m.onnx", "-o", "out/", "--workers", "threads", "--jobs", "1", "--json"]
    return arguments, ["out"], [f"{name} of {[member[0][:20] for member in members]}"]


FORMS = (labels, sidecar, processor, records, records, tensors, lists, boxes, relevance_models, archives)


def make(chance: Chance, folder: Path) -> Case:
    """Write a sound model and picture, and one file beside them that is hostile."""
    (folder / "m.onnx").write_bytes(networks.network(chance.choice(("plain", "plain", "residual"))).SerializeToString())
    pixels = chance.numbers.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(folder / "a.png")
    arguments, may_write, told = chance.choice(FORMS)(chance, folder)
    return Case([text.replace("\0", "") for text in arguments], None, may_write, [], told)
