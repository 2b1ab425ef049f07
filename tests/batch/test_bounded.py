"""The process that hands out the work holds no more for a hundred thousand pictures than their list."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heatcli.batch import resuming, worker
from heatcli.batch.batch import Batch
from heatcli.batch.items import Item, Origin
from heatcli.batch.job import Job, Loading, Ready
from heatcli.batch.outputs import Plan
from heatcli.batch.record_file import RecordFile, read
from heatcli.batch.work import Made
from heatcli.batch.workers import Workers, threads
from heatcli.explanation import ModelInfo

PLAN = Plan("maps", None, "maps/records.jsonl", False)
READY = Ready(ModelInfo("net.onnx", "abc", ""), (), None, "float32", 1, None, {})


def items(count: int) -> list[Item]:
    origin = Origin("photos/", "/photos/")
    return [Item(origin, f"{number:07}.png") for number in range(count)]


def entry(item: Item) -> dict[str, Any]:
    """A record of the usual size."""
    return {
        "schema": 1,
        "input": item.name,
        "output": PLAN.heatmap(item),
        "settings": {"hash": "0123", "heatmaps": 1, "options": {f"option-{number}": "x" * 40 for number in range(40)}},
        "error": None,
    }


def peak(act: Callable[[], object]) -> int:
    """Return how many bytes more than before are held at most while ``act`` runs."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        act()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("workers", [threads(1), threads(2)], ids=["at once", "threads"])
def test_a_run_holds_what_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: Workers) -> None:
    def make(job: Job, item: Item, *, step: Any = None) -> tuple[Made, ...]:
        return (Made(entry(item), None, PLAN.heatmap(item)),)

    monkeypatch.setattr(worker, "make", make)

    def run(count: int) -> int:
        given = items(count)
        batch = Batch(Job(Loading("net.onnx"), PLAN), READY, workers)

        def act() -> None:
            with RecordFile(tmp_path / f"{count}.jsonl") as file:
                for _ in batch.run(given, file):
                    pass

        held = peak(act)
        assert batch.done == count
        return held

    with workers:
        run(20)
        few, many = run(200), run(2200)
    assert many < few + 50_000  # 25 bytes a picture


def test_resuming_holds_names_and_no_records(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    given = items(3000)
    with path.open("w", encoding="utf-8") as stream:
        for item in given:
            stream.write(json.dumps(entry(item)) + "\n")
    assert path.stat().st_size > 2000 * len(given)

    def survey() -> None:
        found = resuming.survey(
            given,
            read(path),
            hash="0123",
            planned=resuming.Places(given, lambda item: item.name),
            output=lambda _: 2,
            source=lambda _: 1,
        )
        assert len(found.finished) == len(given)

    assert peak(survey) < 700 * len(given)

    def keep() -> None:
        with RecordFile(path) as file:
            file.keep(lambda record: record["input"] != given[7].name)

    assert peak(keep) < 300_000
    assert sum(1 for _ in read(path)) == len(given) - 1
