"""Limits: read as people write them, checked, named in messages with what raises them."""

from __future__ import annotations

import pytest

import heatcli
from heatcli.cli import values
from heatcli.errors import UsageError
from heatcli.limits import Limits, amount, parse, rounded_up


@pytest.mark.parametrize(
    ("text", "value"),
    [("2G", 2 * 10**9), ("500m", 5 * 10**8), ("1.5k", 1500), (" 50000 ", 50000), ("0.5T", 5 * 10**11), ("1", 1)],
)
def test_numbers_with_units(text, value):
    assert parse("nodes", text) == value
    assert Limits.of({"nodes": text}).nodes == value


@pytest.mark.parametrize("text", ["", "0", "-1", "G", "2 GB", "1e9", "0x10", "nan", "inf", "9" * 5000, "0.0001", "٣"])
def test_what_is_no_number(text):
    with pytest.raises(UsageError, match=r"--limit nodes=.*: a number from 1 on is needed, such as 50000, 500M or 2G"):
        parse("nodes", text)


def test_a_mapping_changes_some_of_the_defaults():
    changed = Limits.of({"weights": "16G", "pixels": 10**9})
    assert changed == Limits(weights=16 * 10**9, pixels=10**9)
    assert Limits.of(None) == Limits() == Limits.of({})
    assert Limits.of(changed) is changed


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"memory": 1}, "--limit memory: there is no such limit; known: file, nodes, weights, dimension, activations"),
        ({"nodes": 0}, "--limit nodes=0: a whole number from 1 on"),
        ({"nodes": 1.5}, "--limit nodes=1.5: a whole number from 1 on"),
        ({"nodes": True}, "--limit nodes=True: a whole number"),
        (7, "limits must go from names to numbers, not be a int"),
    ],
)
def test_what_does_not_fit(given, said):
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        Limits.of(given)
    with pytest.raises(UsageError):
        heatcli.load("none.onnx", limits=given)


@pytest.mark.parametrize("number", [1, 9, 999, 1000, 1001, 12_345, 99_999, 800_000_000, 8_000_000_001, 10**17 + 1])
def test_a_suggested_limit_is_enough_and_can_be_read(number):
    suggested = parse("nodes", rounded_up(number))
    assert number <= suggested <= 1.1 * number + 1
    assert f"--limit nodes={rounded_up(max(number, 50_001))} " in Limits().raised("nodes", number)


def test_amounts():
    assert [amount(number) for number in (0, 999, 50_000, 80 * 10**6, 8 * 10**9, 1_234_567_890)] == [
        *("0", "999", "50,000", "80M", "8G", "1.23G"),
    ]


def test_options():
    assert values.limits(None) == {}
    assert values.limits(["nodes=100k", "weights=9G"], "90M") == {
        "nodes": 100_000,
        "weights": 9 * 10**9,
        "pixels": 90 * 10**6,
    }
    for given, said in (
        ((["nodes"],), "--limit nodes: give a name and a number"),
        ((["nodes=1", "nodes=2"],), "--limit nodes was given twice"),
        ((["pixels=1"], "2"), "--limit pixels was given twice; --max-pixels is the same"),
        ((["speed=1"],), "--limit speed: there is no such limit"),
        ((None, "many"), "--limit pixels=many: a number"),
    ):
        with pytest.raises(UsageError, match=said):
            values.limits(*given)
