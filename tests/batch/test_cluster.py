"""A real scheduler and real workers on this machine: the same results as here, whoever dies in between."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import PIL.Image
import pytest

pytest.importorskip("distributed", reason="distributed is not installed (extra test)")
if sys.platform == "win32":
    pytest.skip("processes are killed by signals here", allow_module_level=True)

from heatcli.batch import cluster
from heatcli.cli import main
from tests.cli.conftest import classifier
from tests.machines import ROOT, Machines, listens, machines, until

PICTURES = 20


@dataclass(frozen=True)
class Done:
    """What a run of the command left."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with machines(tmp_path_factory.mktemp("machines"), 2) as started:
        yield started


@pytest.fixture
def two(lasting: Machines) -> Machines:
    """Two workers with one thread each."""
    lasting.ready(2)
    return lasting


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Machines]:
    """A scheduler without workers, for a test that ends it."""
    folder = tmp_path / "machines"
    folder.mkdir()
    with machines(folder, 0) as started:
        yield started


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own as the current one, with ``net.onnx`` and twenty pictures."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for variable in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(variable, raising=False)
    onnx.save(classifier(), "net.onnx")
    random = np.random.default_rng(5)
    for number in range(PICTURES):
        picture(f"photos/{number:02}.png", random.integers(0, 256, (20, 24, 3), dtype=np.uint8))
    return folder


def picture(name: str, pixels: np.ndarray | None = None) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(np.full((20, 24, 3), 90, np.uint8) if pixels is None else pixels).save(name)


@pytest.fixture
def heatcli(place: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Done]:
    """Run the command in this process and return its exit code and streams."""

    def run(*arguments: str) -> Done:
        capfdbinary.readouterr()
        code = main(arguments)
        streams = capfdbinary.readouterr()
        return Done(code, streams.out.decode(), streams.err.decode())

    return run


class Running:
    """The command as a process of its own."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "heatcli", "explain", *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def done(self) -> Done:
        out, err = self.process.communicate(timeout=120)
        return Done(self.process.returncode, out.decode(), err.decode())


def waiting(count: int) -> None:
    """Have pictures that wait until they may go on, after those that do not."""
    for number in range(count):
        picture(f"photos/waits-{number:02}.png")


def records(folder: str) -> list[dict[str, Any]]:
    """Return the records in a folder without what differs from run to run, and from folder to folder."""
    text = Path(folder, "records.jsonl").read_text()
    entries = [json.loads(line) for line in text.replace(f'"{folder}/', '"').splitlines()]
    for entry in entries:
        del entry["seconds"]
    return entries


def files(folder: str) -> dict[str, bytes]:
    found = (path for path in Path(folder).rglob("*") if path.is_file() and path.name != "records.jsonl")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def check_same(one: str, other: str) -> None:
    assert records(one) == records(other)
    assert files(one) == files(other)


def check_whole(folder: str, names: list[str], failed: tuple[str, ...] = ()) -> None:
    """Every picture has one record and one heatmap, and nothing else lies there."""
    entries = [json.loads(line) for line in Path(folder, "records.jsonl").read_text().splitlines()]
    assert [entry["input"] for entry in entries] == names
    assert [entry["input"] for entry in entries if entry["error"]] == list(failed)
    assert set(files(folder)) == {f"{Path(name).stem}.heatmap.png" for name in names if name not in failed}


def names() -> list[str]:
    return sorted(str(path) for path in Path("photos").iterdir())


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--target", "top-2", "--save", "npz,npy"),
        ("--scale", "shared"),
        ("--engine", "compiled"),
        ("--versus", "top", "--method", "lrp-epsilon", "--style", "side-by-side"),
    ],
    ids=lambda options: " ".join(options) or "plain",
)
def test_results_are_those_of_a_local_run(heatcli: Callable[..., Done], two: Machines, options: tuple[str, ...]):
    picture("photos/sub/a.png")
    Path("photos/broken.png").write_bytes(b"no picture")
    common = ("explain", "photos", "-m", "net.onnx", *options)
    there = heatcli(*common, "-o", "there", "--cluster", two.address)
    here = heatcli(*common, "-o", "here", "--workers", "threads", "--jobs", "1")
    assert (there.code, here.code) == (1, 1), there.err
    check_same("there", "here")
    assert there.out.replace("there/", "here/") == here.out
    assert "photos/broken.png: " in there.err
    assert there.err.splitlines()[-1] == here.err.splitlines()[-1]
    assert not files(str(two.elsewhere))


def test_archives_are_read_by_the_workers(heatcli: Callable[..., Done], two: Machines):
    shutil.make_archive("some", "tar", "photos")
    shutil.make_archive("more", "zip", "photos")
    common = ("explain", "some.tar", "more.zip", "-m", "net.onnx")
    there = heatcli(*common, "-o", "there", "--cluster", two.address)
    assert (there.code, heatcli(*common, "-o", "here", "--workers", "threads").code) == (0, 0)
    check_same("there", "here")


def test_urls_are_read_by_the_workers(heatcli: Callable[..., Done], two: Machines):
    pytest.importorskip("aiohttp", reason="aiohttp is not installed (extra test)")
    silent = type("Silent", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        urls = [f"http://127.0.0.1:{server.server_port}/photos/{number:02}.png" for number in (*range(9), 99)]
        common = ("explain", *urls, "-m", "net.onnx")
        there = heatcli(*common, "-o", "there", "--cluster", two.address)
        assert (there.code, heatcli(*common, "-o", "here", "--workers", "threads").code) == (1, 1)
        server.shutdown()
    check_same("there", "here")
    assert [entry["error"] is None for entry in records("there")] == [True] * 9 + [False]


def test_one_picture_goes_to_stdout(heatcli: Callable[..., Done], two: Machines, capfdbinary: Any):
    common = ["explain", "photos/00.png", "-m", "net.onnx", "-q", "-o", "-"]
    assert main([*common, "--cluster", two.address]) == 0
    there = capfdbinary.readouterr().out
    assert main(common) == 0
    assert there == capfdbinary.readouterr().out
    assert there.startswith(b"\x89PNG")


def test_the_current_folder_is_the_one_of_the_command(heatcli: Callable[..., Done], two: Machines):
    done = heatcli("explain", "photos/00.png", "-m", "net.onnx", "--cluster", two.address)
    assert (done.code, done.out) == (0, "00.heatmap.png\n")
    assert Path("00.heatmap.png").is_file()


def test_relevance_models_go_with_the_network(heatcli: Callable[..., Done], two: Machines):
    for ending in ("onnx", "relevance.npz", "heatcli.json"):
        shutil.copy(ROOT / "models/two_digits" / f"two_digits.{ending}", f"digits.{ending}")
    # a file of the same name where the workers stand is another one
    (two.elsewhere / "digits.relevance.npz").write_bytes(b"not this one")
    common = ("explain", "photos", "-m", "digits.onnx", "--method", "deep-taylor-minmax", "--save", "npy")
    try:
        there = heatcli(*common, "-o", "there", "--cluster", two.address)
    finally:
        (two.elsewhere / "digits.relevance.npz").unlink()
    assert there.code == heatcli(*common, "-o", "here", "--workers", "threads", "--jobs", "1").code == 0
    check_same("there", "here")


def test_stdin_goes_with_the_work(heatcli: Callable[..., Done], two: Machines, monkeypatch: pytest.MonkeyPatch):
    with Path("photos/00.png").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        done = heatcli("explain", "-", "-m", "net.onnx", "-o", "x.png", "--cluster", two.address)
    assert done.code == 0
    assert heatcli("explain", "photos/00.png", "-m", "net.onnx", "-o", "y.png").code == 0
    assert Path("x.png").read_bytes() == Path("y.png").read_bytes()


def test_the_network_is_received_once_by_every_worker(heatcli: Callable[..., Done], two: Machines):
    done = heatcli("explain", "photos", "-m", "net.onnx", "-o", "maps", "--cluster", two.address)
    assert done.code == 0
    received = Counter(line.split()[0] for line in two.told("received"))
    assert set(received.values()) == {1}
    assert len(received) <= 2


def test_threads_of_a_worker_share_one_explainer(heatcli: Callable[..., Done], own: Machines):
    own.work("--nthreads", "3")
    waiting(3)
    running = threading.Thread(target=lambda: (until(lambda: waits(own) == 3, "three at once"), own.go()))
    running.start()
    done = heatcli("explain", "photos", "-m", "net.onnx", "-o", "maps", "--cluster", own.address)
    running.join()
    assert done.code == 0
    assert len(own.told("received")) == 1
    check_whole("maps", names())


def waits(own: Machines) -> int:
    return sum("waits" in line for line in own.told("begun"))


def test_only_so_much_is_under_way(heatcli: Callable[..., Done], two: Machines, monkeypatch: pytest.MonkeyPatch):
    most, taken, submit = [], [], cluster.Cluster.submit

    def counted(self: Any, *arguments: Any) -> Any:
        future = submit(self, *arguments)
        most.append(sum(not other.done() for other in self._under_way))
        taken.append(len(arguments[2]))
        return future

    monkeypatch.setattr(cluster.Cluster, "submit", counted)
    monkeypatch.setattr(cluster, "SPAN", 1000.0)
    done = heatcli("explain", "photos", "-m", "net.onnx", "-o", "maps", "--cluster", two.address)
    assert done.code == 0
    assert sum(taken) == PICTURES
    assert (taken[0], max(taken)) == (1, PICTURES // (2 * cluster.SHARES))
    assert max(most) == 2 * 2


def test_a_worker_that_joins_gets_work(heatcli: Callable[..., Done], own: Machines, monkeypatch: pytest.MonkeyPatch):
    own.work()
    waiting(3)
    monkeypatch.setattr(cluster, "LOOK", 0.0)

    def join() -> None:
        until(lambda: waits(own), "the first waits")
        own.work()
        until(lambda: len({line.split()[0] for line in own.told("begun")}) == 2, "the second works")
        own.go()

    joining = threading.Thread(target=join)
    joining.start()
    Path("photos").rename("more")
    for number in range(6):
        shutil.copy("more/waits-00.png", f"more/aa-waits-{number}.png")
    Path("more").rename("photos")
    done = heatcli("explain", "photos", "-m", "net.onnx", "-o", "maps", "--cluster", own.address)
    joining.join()
    assert done.code == 0
    assert Counter(line.split()[0] for line in own.told("received")).most_common(1)[0][1] == 1
    check_whole("maps", names())


def test_a_worker_that_dies_takes_nothing_with_it(heatcli: Callable[..., Done], two: Machines):
    waiting(2)
    started = Running("photos", "-m", "net.onnx", "-o", "maps", "--cluster", two.address)
    until(lambda: waits(two), "one waits")
    two.kill(two.workers[0])
    two.go()
    done = started.done()
    assert (done.code, len(done.out.splitlines())) == (0, len(names()))
    check_whole("maps", names())
    assert heatcli("explain", "photos", "-m", "net.onnx", "-o", "here", "--workers", "threads").code == 0
    check_same("maps", "here")
    assert len(done.err.splitlines()) == 3  # what was guessed, and the summary
    assert "distributed" not in done.err


def test_all_workers_die_and_others_go_on(place: Path, two: Machines):
    waiting(2)
    started = Running("photos", "-m", "net.onnx", "-o", "maps", "--cluster", two.address)
    until(lambda: waits(two), "one waits")
    for worker in list(two.workers):
        two.kill(worker)
    two.go()
    two.work()
    assert started.done().code == 0
    check_whole("maps", names())


@pytest.mark.parametrize("gone", ["workers", "scheduler"])
def test_without_workers_or_scheduler_it_ends_and_goes_on_later(
    heatcli: Callable[..., Done], own: Machines, monkeypatch: pytest.MonkeyPatch, gone: str
):
    own.work()
    waiting(2)
    monkeypatch.setattr(cluster, "PATIENCE", 3.0)

    def end() -> None:
        until(lambda: waits(own), "one waits")
        own.kill(own.workers[0] if gone == "workers" else own.scheduler)

    ending = threading.Thread(target=end)
    ending.start()
    common = ("explain", "photos", "-m", "net.onnx", "-o", "maps")
    done = heatcli(*common, "--cluster", own.address)
    ending.join()
    assert done.code == 1
    finished = len(records("maps"))
    assert done.err.splitlines()[-2:] == [
        f"Stopped: {finished} of {PICTURES + 2} inputs done; when that is mended, the same command goes on from there.",
        f"heatcli: --cluster {own.address}: the scheduler or its workers are gone",
    ]
    assert finished > 0
    if gone == "scheduler":
        for worker in list(own.workers):
            own.kill(worker)
        own.schedule()
    own.work()
    own.go()
    assert heatcli(*common, "--cluster", own.address).code == 0
    check_whole("maps", names())


def test_deadly_pictures_cost_those_pictures(heatcli: Callable[..., Done], own: Machines):
    for _ in range(2):
        own.work("--nanny")
    deadly = ("photos/03-deadly.png", "photos/06-deadly.png")
    for name in deadly:
        picture(name)
    done = heatcli("explain", "photos", "-m", "net.onnx", "-o", "maps", "--cluster", own.address)
    assert done.code == 1
    check_whole("maps", names(), failed=deadly)
    assert "03-deadly.png: the worker process died with it, and with nothing else" in done.err


def test_an_interrupt_leaves_the_cluster_to_the_next(heatcli: Callable[..., Done], two: Machines):
    waiting(12)
    started = Running("photos", "-m", "net.onnx", "-o", "maps", "--cluster", two.address)
    until(lambda: waits(two) >= 2, "two wait")
    begun = time.monotonic()
    started.process.send_signal(signal.SIGINT)
    done = started.done()
    assert time.monotonic() - begun < 10
    assert done.code == 130
    assert done.err.splitlines()[-1].startswith("Interrupted: ")
    assert done.err.splitlines()[-1].endswith("the same command goes on from there.")
    tasks = "lambda dask_scheduler: len(dask_scheduler.tasks)"
    until(lambda: two.ask(lambda client: client.run_on_scheduler(eval(tasks))) == 0, "all is forgotten")
    seen = waits(two)
    two.go()
    done = heatcli("explain", "photos", "-m", "net.onnx", "-o", "maps", "--cluster", two.address)
    assert done.code == 0
    check_whole("maps", names())
    assert seen <= 4  # what was under way did not go on with the rest of its pictures


def test_the_readmes_commands_work(place: Path, tmp_path: Path):
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## A cluster\n")[2].partition("\n## ")[0]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    text = section.replace("10.0.0.5", "127.0.0.1").replace("8786", port).replace("--nworkers 8", "--nworkers 2")
    scheduler, worker, explain = re.findall(r"^```bash\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL)
    Path("net.onnx").rename("your-classifier.onnx")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    started = []
    try:
        for number, command in enumerate((scheduler, worker)):
            with (tmp_path / f"{number}.log").open("wb") as log:
                started.append(
                    subprocess.Popen(
                        command, shell=True, env=environment, stdout=log, stderr=log, start_new_session=True
                    )
                )
        until(lambda: listens(int(port)), "the scheduler listens")
        explain = explain.replace("heatcli ", f"{sys.executable} -m heatcli ", 1)
        done = subprocess.run(explain, shell=True, env=environment, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr.decode()
        check_whole("maps", names())
    finally:
        for process in reversed(started):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_other_versions_are_refused(heatcli: Callable[..., Done], own: Machines):
    own.work(HEATCLI_MACHINES_WRONG="numpy")
    done = heatcli("explain", "photos", "-m", "net.onnx", "-o", "maps", "--cluster", own.address)
    assert done.code == 2
    (line,) = done.err.splitlines()
    (worker,) = own.known()
    assert line.startswith(
        f"heatcli: --cluster {own.address}: the worker {worker} has numpy 0.0.1, this machine {np.__version__}"
    )
    assert not Path("maps").exists()


def test_other_versions_that_join_are_refused(
    heatcli: Callable[..., Done], own: Machines, monkeypatch: pytest.MonkeyPatch
):
    own.work()
    waiting(9)
    monkeypatch.setattr(cluster, "LOOK", 0.0)

    def join() -> None:
        until(lambda: waits(own), "one waits")
        own.work(HEATCLI_MACHINES_WRONG="onnxruntime")
        own.kill(own.workers[0])

    joining = threading.Thread(target=join)
    joining.start()
    done = heatcli("explain", "photos", "-m", "net.onnx", "-o", "maps", "--cluster", own.address)
    joining.join()
    assert done.code == 1
    assert "Stopped: " in done.err
    assert "has onnxruntime 0.0.1, this machine" in done.err.splitlines()[-1]


def test_a_worker_without_heatcli_is_refused(heatcli: Callable[..., Done], own: Machines, tmp_path: Path):
    broken = tmp_path / "broken" / "heatcli"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ModuleNotFoundError('no module named heatcli')\n")
    own.work("--preload", "json", PYTHONPATH=f"{broken.parent}")
    done = heatcli("explain", "photos", "-m", "net.onnx", "-o", "maps", "--cluster", own.address)
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert "has no heatcli" in line


def test_no_worker_is_said(heatcli: Callable[..., Done], own: Machines, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cluster, "PATIENCE", 1.0)
    done = heatcli("explain", "photos", "-m", "net.onnx", "--cluster", own.address)
    assert done.code == 2
    assert done.err == (
        f"heatcli: --cluster {own.address}: the scheduler has no worker; start some with: dask worker {own.address}\n"
    )


def test_nobody_at_the_address_is_said_at_once(heatcli: Callable[..., Done]):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = heatcli("explain", "photos", "-m", "net.onnx", "--cluster", f"127.0.0.1:{port}")
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert line.startswith(
        f"heatcli: --cluster tcp://127.0.0.1:{port}: nobody answers there (Connection refused); start"
    )


def test_somebody_else_at_the_address_is_said(heatcli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cluster, "PATIENCE", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = heatcli("explain", "photos", "-m", "net.onnx", "--cluster", f"127.0.0.1:{other.getsockname()[1]}")
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert "no Dask scheduler answers there" in line


@pytest.mark.parametrize(
    "address", ["", "nonsense", "http://host:8786", "tcp://host", "tcp://host:99999", "a b:1", "tcp://u:p@host:1"]
)
def test_nonsense_is_no_address(heatcli: Callable[..., Done], address: str):
    done = heatcli("explain", "photos", "-m", "net.onnx", "--cluster", address)
    assert done.code == 2
    assert done.err == f"heatcli: --cluster {address}: is no address of a Dask scheduler, such as tcp://host:8786\n"


def test_a_host_that_is_not_known_is_said(heatcli: Callable[..., Done]):
    done = heatcli("explain", "photos", "-m", "net.onnx", "--cluster", "tcp://nowhere.invalid:8786")
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert line.startswith("heatcli: --cluster tcp://nowhere.invalid:8786: nobody answers there (")


def test_without_dask_it_says_how_to_get_it(heatcli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    done = heatcli("explain", "photos", "-m", "net.onnx", "--cluster", "tcp://host:8786")
    assert done.code == 2
    assert done.err == "heatcli: --cluster needs Dask: python -m pip install 'heatcli[cluster]'\n"


@pytest.mark.parametrize("option", [("--jobs", "2"), ("--workers", "threads")])
def test_its_own_workers_are_enough(heatcli: Callable[..., Done], option: tuple[str, str]):
    done = heatcli("explain", "photos", "-m", "net.onnx", "--cluster", "tcp://host:8786", *option)
    assert done.code == 2
    assert done.err == "heatcli: --cluster brings its own workers; leave out --workers and --jobs\n"
