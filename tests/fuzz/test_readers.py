"""Any text and any bytes, by hypothesis, to what reads a word or a small file: it answers, or says no in a line."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from heatcli.batch.record_file import parsed
from heatcli.cli import values
from heatcli.errors import HeatcliError
from heatcli.limits import parse
from heatcli.pictures.colormaps import colormap
from heatcli.pictures.facts import parse_size
from heatcli.pictures.labels import Labels, find_label, labels_from_metadata, read_labels
from heatcli.pictures.reading import read_picture
from heatcli.pictures.tensors import START, read_tensor
from heatcli.places import naming
from heatcli.relevance import rules
from heatcli.targets import wanted

LABELS = Labels(["cat", "dog", "sea lion", ""], ["n00000001", None, None, None])
TEXTS = {
    "size": values.size,
    "number": lambda text: values.number(text, "--x"),
    "numbers": lambda text: values.numbers(text, "--x"),
    "range": values.bounds,
    "whole": lambda text: values.whole(text, "--x"),
    "region": values.region,
    "colour scale": values.colour_scale,
    "inputs": lambda text: values.named_files([text]),
    "limit": lambda text: parse("nodes", text),
    "sides": parse_size,
    "colours": colormap,
    "rule": rules.named,
    "target": lambda text: wanted([text], 4, LABELS),
    "label": lambda text: find_label(LABELS, text),
    "metadata": lambda text: labels_from_metadata({"names": text}, 4),
}
WORDS = st.text() | st.text("0123456789.,-+xe/:=top×auto#f ") | st.text("[](){}'\"0123:,aTrue ")


@pytest.mark.parametrize("name", TEXTS)
@given(text=WORDS)
@example(text="9" * 5000)
@example(text="-" + "9" * 5000)
@example(text="top-" + "9" * 5000)
@example(text="[" * 5000)
@example(text="1e400,1e400")
@example(text="٣")
@settings(deadline=None)
def test_any_word_is_understood_or_refused(name, text):
    with contextlib.suppress(HeatcliError):
        TEXTS[name](text)


@given(content=st.binary(max_size=300))
@example(content=b"[" * 100_000)
@example(content=b'{"a": ' * 100_000)
@example(content=b'["' + b"9" * 5000 + b'"]')
@example(content=b"[" + b"9" * 5000 + b"]")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", ["l.txt", "l.json"])
def test_any_file_of_labels_is_understood_or_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with contextlib.suppress(HeatcliError):
        assert len(read_labels(tmp_path / name, 1)) == 1


@given(content=st.binary(max_size=200), version=st.sampled_from([b"\1\0", b"\2\0", b"\3\0", b""]))
@settings(deadline=None)
def test_any_tensor_is_read_or_refused(content, version):
    with contextlib.suppress(HeatcliError):
        read_tensor(START + version + content)


@given(
    shape=st.lists(st.integers(-1, 2**64), max_size=6).map(tuple),
    kind=st.sampled_from(["<f4", "|O", "<U9", "<f8", "|b1", "m8[s]", "<i3", "<c8", "|V4", "x"]),
    content=st.binary(max_size=64),
)
@settings(deadline=None)
def test_any_header_of_a_tensor_is_read_or_refused(shape, kind, content):
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    with contextlib.suppress(HeatcliError):
        read_tensor(START + b"\1\0" + len(header).to_bytes(2, "little") + header + content)


@given(
    content=st.binary(max_size=200),
    start=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"P6 ", b"II*\0"]),
)
@settings(deadline=None)
def test_any_picture_is_read_or_refused(content, start):
    with contextlib.suppress(HeatcliError):
        assert read_picture(start + content).mode == "RGB"


@given(row=st.binary(max_size=100))
@example(row=b"[" * 100_000 + b"\n")
@example(row=b'{"schema": 1, "input": [], "settings": 3}\n')
@example(row=b'{"schema": 1, "input": "a", "settings": {"options": 3}}\n')
def test_any_line_is_a_record_or_none(row):
    found = parsed(row)
    assert found is None or isinstance(found["input"], str)


@given(below=st.text(st.characters(), min_size=1))
@example(below="../../x.png")
@example(below="C:x.png")
@example(below="a" * 5000 + ".png")
def test_any_name_has_a_place_below(below):
    place = naming.safe(below)
    assert place
    assert not place.startswith("/")
    assert ".." not in place.split("/")
    assert all(0 < len(part.encode("utf-8", "surrogateescape")) <= 255 for part in place.split("/"))
