"""What a run has in common is told once, what differs is told as differing."""

from __future__ import annotations

from typing import Any

from heatcli.reporting import common
from heatcli.reporting.common import Common
from tests.reporting import made


def gathered(*entries: Any) -> Common:
    found = Common()
    for entry in entries:
        found.add(found.facts(entry))
    return found


def rows(found: Common, group: str) -> dict[str, list[str]]:
    (shown,) = [entry for entry in found.shown() if entry["group"] == group]
    return {row["name"]: row["values"] for row in shown["rows"]}


def with_settings(**settings: Any) -> Any:
    return made.record(settings=settings)


def test_settings_are_shown_and_what_was_asked_for_apart():
    found = gathered(made.record(), made.record("b.png"))
    assert rows(found, "Settings")["pool"] == ["proportional"]
    assert rows(found, "Settings")["rules"] == ["–"]
    assert "options" not in rows(found, "Settings")
    assert rows(found, "Asked for") == {"target": ["top"], "biases": ["neurons"]}
    assert rows(found, "Preprocessing")["preset"] == ["caffe"]
    assert rows(found, "Versions") == {"heatcli": ["0.1.0"], "numpy": ["2.0"]}
    assert found.differing() == []


def test_what_differs_is_named_with_its_values_in_the_order_met():
    found = gathered(
        with_settings(seed=3, flag=True), with_settings(seed=1, flag=True), with_settings(seed=3, flag=True)
    )
    assert rows(found, "Settings") == {"seed": ["3", "1"], "flag": ["yes"]}
    assert [name for _, name in found.differing()] == ["seed"]


def test_what_only_some_name_differs_from_not_set():
    found = gathered(with_settings(), with_settings(noise=0.5))
    assert rows(found, "Settings") == {"noise": ["–", "0.5"]}
    assert rows(gathered(with_settings(noise=0.5), with_settings()), "Settings") == {"noise": ["0.5", "–"]}


def test_values_are_bounded_and_the_count_says_so(monkeypatch):
    monkeypatch.setattr(common, "COUNTED", 10)
    found = gathered(*(with_settings(seed=number) for number in range(50)))
    (row,) = next(entry["rows"] for entry in found.shown() if entry["group"] == "Settings")
    assert (row["count"], row["all"], len(row["values"])) == (10, False, common.SHOWN)


def test_odd_records_say_nothing():
    odd: Any = {"model": None, "settings": [], "preprocessing": "text", "versions": {"a\x1b": {"deep": [1]}}}
    found = gathered(odd)
    assert rows(found, "Versions") == {"a\\x1b": ['{"deep": [1]}']}
