"""A record as a row: every cell stands where its column says, whatever the record lacks."""

from __future__ import annotations

from typing import Any

import pytest

from heatcli.batch.records import Record
from heatcli.reporting.rows import COLUMNS, row
from tests.reporting import made


def cells(record: Record) -> dict[str, Any]:
    return dict(zip((column.name for column in COLUMNS), row(record), strict=True))


def test_every_number_has_its_column():
    found = cells(made.record(warnings=["one", "two"]))
    assert {name: found[name] for name in ("input", "output", "method", "target_index", "target_label")} == {
        "input": "photos/a.png",
        "output": "maps/a.heatmap.png",
        "method": "deep-taylor",
        "target_index": 2,
        "target_label": "tiger cat",
    }
    assert (found["score"], found["probability"], found["start"]) == (8.0, 0.75, 8.0)
    assert (found["pixels"], found["biases"], found["constants"], found["lost"]) == (5.0, 1.0, 0.0, 2.0)
    assert (found["error_share"], found["lost_share"]) == (1e-8, 0.25)
    assert (found["min"], found["max"], found["negative_share"], found["border_share"]) == (-0.5, 2.5, 0.125, 0.25)
    assert [found[f"seconds_{step}"] for step in ("read", "forward", "relevance", "write")] == [0.1, 0.2, 0.3, 0.4]
    assert found["warnings"] == 2
    assert (found["top2_index"], found["top2_label"], found["top2_score"]) == (3, "owl", 7.0)
    assert found["top3_index"] is None
    assert found["error_type"] is None


def test_a_failure_has_its_type_and_message_and_no_numbers():
    found = cells(made.failure("b.png", "no such file"))
    assert (found["error_type"], found["error_message"]) == ("PictureError", "no such file")
    assert [found[name] for name in ("output", "score", "lost_share", "border_share", "seconds_read")] == [None] * 5


@pytest.mark.parametrize("start", [0.0, None, "8", True])
def test_no_share_of_nothing(start: Any):
    assert cells(made.record(ledger={"start": start, "lost": 0.0}))["lost_share"] is None


@pytest.mark.parametrize("odd", [None, [], "text", 3, {"index": 2.5, "score": float("nan"), "label": 7}, 10**400])
def test_records_with_odd_values_have_empty_cells(odd: Any):
    found = cells(
        made.record(target=0) | {"target": odd, "top": [odd], "ledger": odd, "relevance": odd, "warnings": odd}
    )
    assert [found[name] for name in ("target_index", "target_label", "score", "top1_label", "lost", "min")] == [
        None
    ] * 6
    assert found["warnings"] == 0


def test_an_older_record_without_a_border_share():
    assert cells(made.record(relevance={"min": 0.0, "max": 1.0, "negative_share": 0.0}))["border_share"] is None
