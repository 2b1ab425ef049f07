"""Order, bounds, errors and interrupts of the runner."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

from heatcli.batch import runner
from heatcli.batch.workers import AtOnce, Workers


def test_outcomes_keep_the_order_of_the_items() -> None:
    first_may_end = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert first_may_end.wait(10)
        elif item == 3:
            first_may_end.set()
        return item * item

    with ThreadPoolExecutor(2) as executor:
        results = [outcome.result for outcome in runner.run(range(6), work, executor, ahead=4)]
    assert results == [0, 1, 4, 9, 16, 25]


def test_only_so_many_items_are_taken_ahead() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield number

    for seen, _ in enumerate(runner.run(items(), lambda item: item, AtOnce(), ahead=3), start=1):
        assert taken <= seen + 3
    assert taken == 100


def test_more_is_taken_ahead_when_there_are_more_workers() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number

    ahead = 2
    outcomes = runner.run(items(), lambda item: item, AtOnce(), ahead=lambda: ahead)
    next(outcomes)
    assert len(taken) == 2
    ahead = 5
    next(outcomes)
    assert len(taken) == 1 + 5
    ahead = 1
    assert [outcome.item for outcome in outcomes] == list(range(2, 20))


def test_an_error_belongs_to_its_item() -> None:
    def work(item: int) -> float:
        return 1 / item

    outcomes = list(runner.run([1, 0, 2], work, AtOnce(), ahead=2))
    assert [outcome.result for outcome in outcomes] == [1.0, None, 0.5]
    assert isinstance(outcomes[1].error, ZeroDivisionError)


def test_an_interrupt_yields_what_is_under_way_and_begins_nothing_new() -> None:
    class Interrupted(Future[int]):
        calls = 0

        def result(self, timeout: float | None = None) -> int:
            Interrupted.calls += 1
            if Interrupted.calls == 1:
                raise KeyboardInterrupt
            return super().result(timeout)

    begun = []

    class Pool(Executor):
        def submit(self, fn: Any, /, *args: Any, **_: Any) -> Future[Any]:
            future = Interrupted()
            if len(begun) < 2:  # two are under way, the rest wait
                future.set_running_or_notify_cancel()
                future.set_result(fn(*args))
            begun.append(args[1][0])
            return future

    outcomes = runner.run(range(10), lambda item: item, Pool(), ahead=4)
    assert [next(outcomes).result, next(outcomes).result] == [0, 1]
    with pytest.raises(KeyboardInterrupt):
        next(outcomes)
    assert begun == [0, 1, 2, 3]


def test_at_once_an_interrupt_reaches_the_work_itself() -> None:
    reached = []

    def work(item: int) -> int:
        reached.append(item)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), AtOnce() as executor:
        list(runner.run([1], work, executor, ahead=1))
    assert reached == [1]


class Mortal(Executor):
    """Executes at once; with item 3 the worker dies, and with it what is handed in until a new one is started."""

    deaths = 0

    def __init__(self) -> None:
        self.broken = False

    def submit(self, fn: Any, /, *args: Any, **_: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self.broken or 3 in args[1]:
            Mortal.deaths += not self.broken
            self.broken = True
            future.set_exception(BrokenExecutor("a worker died"))
        else:
            future.set_result(fn(*args))
        return future


@pytest.mark.parametrize(("chunk", "ahead"), [(1, 1), (1, 4), (3, 2), (10, 1)])
def test_an_item_that_kills_its_worker_costs_that_item_alone(chunk: int, ahead: int) -> None:
    Mortal.deaths = 0
    outcomes = list(runner.run(range(8), lambda item: item, Workers(Mortal, 2), ahead=ahead, chunk=chunk))
    assert [outcome.item for outcome in outcomes] == list(range(8))
    assert [outcome.result for outcome in outcomes] == [0, 1, 2, None, 4, 5, 6, 7]
    assert "the worker process died with it" in str(outcomes[3].error)
    assert Mortal.deaths == 1 + runner.TRIES


def test_work_that_was_under_way_when_a_worker_died_is_done_again() -> None:
    starts = []

    class Once(Executor):
        """The first of these dies with whatever it gets, the next lives."""

        def __init__(self) -> None:
            starts.append(self)

        def submit(self, fn: Any, /, *args: Any, **_: Any) -> Future[Any]:
            future: Future[Any] = Future()
            if self is starts[0]:
                future.set_exception(BrokenExecutor("killed"))
            else:
                future.set_result(fn(*args))
            return future

    outcomes = list(runner.run(range(5), lambda item: -item, Workers(Once, 2), ahead=4))
    assert [outcome.result for outcome in outcomes] == [0, -1, -2, -3, -4]
    assert len(starts) == 2


def test_what_does_not_end_soon_after_an_interrupt_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "GRACE", 0.0)

    class Waited(Future[Any]):
        def result(self, timeout: float | None = None) -> Any:
            if timeout is None:
                raise KeyboardInterrupt
            return super().result(timeout)

    class Pool(Executor):
        def submit(self, fn: Any, /, *args: Any, **_: Any) -> Future[Any]:
            future = Waited()
            future.set_running_or_notify_cancel()  # it goes on for ever
            return future

    workers = Workers(Pool, 2)
    with pytest.raises(KeyboardInterrupt):
        list(runner.run(range(5), lambda item: item, workers, ahead=2))
    assert workers.given_up
