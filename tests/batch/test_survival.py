"""Folder runs survive kills, interrupts, full disks, crashing workers and each other: nothing is lost, torn or doubled.

`python -m tests.benchmarks.survival` kills a hundred times in each way of working.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.batch.disturbed import PATIENCE, Folder, after_import, kill_again_and_again, when_read

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are looked for in /proc")

QUIET = ("-q", "--jobs", "2")
THREADS = (*QUIET, "--workers", "threads")
SEVERAL = ("--target", "top-2", "--save", "npz", "--scale", "shared")
STUCK = when_read("if '00004' in str(source): time.sleep(300)")
SOON = 5.0
"""Seconds in which an interrupted run is to end on a busy machine; a calm one takes 1.2."""


# killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "heatmaps", "endings", "kills"),
    [
        (("--jobs", "2"), 1, (".heatmap.png",), 3),
        ((*SEVERAL, "--jobs", "2", "--workers", "threads"), 2, (".heatmap.png", ".heatmap.npz"), 4),
    ],
    ids=["processes", "threads, several files"],
)
def test_killed_at_any_moment_the_next_run_makes_the_same(
    tmp_path: Path, options: tuple[str, ...], heatmaps: int, endings: tuple[str, ...], kills: int
) -> None:
    folder = Folder(tmp_path, options=options, heatmaps=heatmaps, endings=endings)
    assert kill_again_and_again(folder, kills, seed=kills, each=False).kills == kills


KILL = "os.kill(os.getpid(), signal.SIGKILL)"
MOMENTS = {
    "while the model is loaded": after_import("heatcli.loading", f"import os, signal\n{KILL}"),
    "with half a heatmap written": after_import(
        "heatcli.places.storage",
        "import signal\n_count = []\n_write = write\ndef write(place, content, **how):\n    _count.append(place)\n"
        "    if len(_count) < 3:\n        return _write(place, content, **how)\n"
        "    with replacing(Path(place)) as stream:\n        stream.write(content[:99])\n        stream.flush()\n"
        f"        {KILL}",
    ),
    "between heatmap and record": after_import(
        "heatcli.batch.record_file",
        "import signal\n_add, _count = RecordFile.add, []\ndef add(self, *entries):\n    _count.append(1)\n"
        f"    if len(_count) == 3:\n        {KILL}\n    _add(self, *entries)\nRecordFile.add = add",
    ),
    "in a record": after_import(
        "heatcli.batch.record_file",
        "import signal\n_write, _count = os.write, []\ndef write(place, content):\n    _count.append(1)\n"
        f"    if len(_count) < 3:\n        return _write(place, content)\n    _write(place, content[:50])\n    {KILL}\n"
        "os.write = write",
    ),
}


def test_killed_at_the_worst_moments(tmp_path: Path) -> None:
    folder = Folder(tmp_path, options=("-q", "--workers", "threads", "--jobs", "1"))
    left: dict[str, tuple[int, bytes]] = {}
    for moment, patch in MOMENTS.items():
        assert folder.run(patch=patch).code == -signal.SIGKILL, moment
        left[moment] = len(folder.left_over()), folder.records.read_bytes() if folder.records.exists() else b""
    assert left["while the model is loaded"] == (0, b"")
    half, entries = left["with half a heatmap written"]
    assert (half, entries[-1:]) == (1, b"\n")
    half, more = left["between heatmap and record"]
    assert (half, more[-1:], more.startswith(entries), len(more) > len(entries)) == (0, b"\n", True, True)
    half, torn = left["in a record"]
    assert (half, torn.endswith(b"\n"), torn.startswith(more), len(torn) > len(more) + 50) == (0, False, True, True)
    ended = folder.run()
    assert (ended.code, ended.err) == (0, "")
    folder.complete()


# interrupted --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "number", "group"),
    [
        (QUIET, signal.SIGINT, True),
        (QUIET, signal.SIGTERM, False),
        (THREADS, signal.SIGINT, False),
        (THREADS, signal.SIGHUP, True),
    ],
)
def test_an_interrupt_ends_it_soon_however_long_a_picture_takes(
    tmp_path: Path, options: tuple[str, ...], number: int, group: bool
) -> None:
    folder = Folder(tmp_path, options=options)
    running = folder.start(patch=STUCK)
    folder.wait_for_records(3, running)  # what comes before the one that sticks
    running.send(number, group=group)
    ended = running.end()
    assert ended.seconds < SOON
    assert running.gone() < SOON
    done = len(folder.entries())
    assert done >= 2  # a record that is being written when the interrupt comes is withdrawn
    assert (ended.code, ended.err) == (
        130,
        f"Interrupted: {done} of 12 inputs done; the same command goes on from there.\n",
    )
    folder.whole()
    if number == signal.SIGINT:
        assert folder.run().code == 0
        folder.complete()


def test_an_interrupt_while_the_model_is_loaded(tmp_path: Path) -> None:
    folder = Folder(tmp_path, options=QUIET)
    loading = folder.root / "loading"
    patch = after_import("heatcli.loading", f"import time\nopen({str(loading)!r}, 'w').close()\ntime.sleep(300)")
    running = folder.start(patch=patch)
    _until(loading.exists)
    running.send(signal.SIGINT, group=True)
    ended = running.end()
    assert (ended.code, ended.err) == (130, "heatcli: interrupted\n")
    assert ended.seconds < SOON
    running.gone()
    assert not folder.maps.exists()


def test_a_second_interrupt_ends_it_at_once(tmp_path: Path) -> None:
    folder = Folder(tmp_path, options=THREADS)
    running = folder.start(patch=STUCK + after_import("heatcli.batch.runner", "GRACE = 300"))
    folder.wait_for_records(3, running)
    time.sleep(0.5)  # an interrupt in the midst of writing ends it at once
    running.send(signal.SIGINT)
    running.send(signal.SIGINT)  # the same once more, as `timeout` and some shells have it
    time.sleep(0.5)
    assert running.process.poll() is None
    running.send(signal.SIGINT)
    ended = running.end()
    assert ended.code == 130
    assert "Traceback" not in ended.err
    assert ended.seconds < SOON
    folder.whole()


def test_what_was_ignored_stays_ignored() -> None:
    program = """
import os, signal, time
signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
from heatcli.cli import interrupts
interrupts.listen()
os.kill(os.getpid(), signal.SIGHUP)
assert not interrupts.heard()
try:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)
except KeyboardInterrupt:
    print("interrupted", interrupts.heard())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert done.stdout == "interrupted True\n"


# a full disk --------------------------------------------------------------------------------------------------------


SMALL_DISK = """
mkdir maps && mount -t tmpfs -o size=24k tmpfs maps || exit 99
"$@" 2>full.err; echo $? >full.code; cp -a maps full
mount -o remount,size=4m maps
"$@" 2>freed.err; echo $? >freed.code; cp -a maps freed
mount -o remount,ro maps
"$@" --overwrite 2>locked.err; echo $? >locked.code; cp -a maps locked
"""


@pytest.mark.parametrize("options", [QUIET, THREADS], ids=["processes", "threads"])
def test_a_disk_that_is_full(tmp_path: Path, options: tuple[str, ...]) -> None:
    """The disk is there for these three runs alone, and gone with them however they end."""
    folder = Folder(tmp_path, options=options)
    shell = ("unshare", "--mount", "sh", "-c", SMALL_DISK, "sh")
    if shutil.which("unshare") is None or subprocess.run([*shell[:2], "true"], capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    running = folder.start(shell=shell)
    if running.end().code == 99:
        pytest.skip("no disk can be mounted here")
    running.gone()

    def ended(name: str) -> tuple[int, str]:
        """Put what was on the disk then where it would be."""
        if folder.maps.exists():
            shutil.rmtree(folder.maps)
        (tmp_path / name).rename(folder.maps)
        return int((tmp_path / f"{name}.code").read_text()), (tmp_path / f"{name}.err").read_text("utf-8")

    code, said = ended("full")
    done = len(folder.entries())
    stopped, reason = said.splitlines()
    assert code == 1
    assert 0 < done < folder.count
    assert stopped == f"Stopped: {done} of 12 inputs done; when that is mended, the same command goes on from there."
    assert reason.startswith("heatcli: cannot write maps/")
    assert reason.endswith(": No space left on device")
    folder.whole()
    assert ended("freed") == (0, "")
    folder.complete()
    code, said = ended("locked")
    assert (code, f"{folder.maps} is on a read-only file system" in said) == (2, True)
    folder.complete()


def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    folder = Folder(tmp_path, count=5, options=("-q", "--workers", "threads", "--jobs", "1"))
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))"
    ended = folder.run(limits=limit)
    assert ended.code == 1
    assert "heatcli: cannot write maps/records.jsonl: File too large" in ended.err
    assert 0 < len(folder.entries()) < 5
    folder.whole()
    assert folder.run().code == 0
    folder.complete()


# workers that die ---------------------------------------------------------------------------------------------------

CRASH = when_read(
    "import signal\n"
    "for word, number in (('segv', signal.SIGSEGV), ('kill', signal.SIGKILL)):\n"
    "    if word in str(source): os.kill(os.getpid(), number)\n"
    "if 'exit' in str(source): os._exit(7)\n"
    "if 'memory' in str(source): raise MemoryError"
)

DIED = "the worker process died with it, and with nothing else: "


def test_a_picture_that_crashes_its_worker_costs_that_picture(tmp_path: Path) -> None:
    folder = Folder(tmp_path, count=5, options=QUIET)
    for name in ("00001segv", "00003memory"):
        folder.picture(f"{name}.png", 0)
    ended = folder.run(patch=CRASH)
    assert ended.code == 1
    assert "2 inputs failed" in ended.err
    found = [(entry["input"], entry["error"] and entry["error"]["message"]) for entry in folder.entries()]
    assert [name for name, _ in found] == sorted(name for name, _ in found)
    assert len(found) == 7
    assert {name: message for name, message in found if message} == {
        "photos/00001segv.png": f"{DIED}killed by signal 11 (SIGSEGV)",
        "photos/00003memory.png": "out of memory; fewer at once need less: --jobs 1, and --limit memory=N may give a "
        "process more",
    }
    folder.whole()


def test_all_pictures_crash(tmp_path: Path) -> None:
    folder = Folder(tmp_path, count=0, options=("-q", "--jobs", "1"))
    folder.names = ["00000kill.png", "00001exit.png"]
    for name in folder.names:
        folder.picture(name, 0)
    assert folder.run(patch=CRASH).code == 1
    assert [entry["error"]["message"] for entry in folder.entries()] == [
        f"{DIED}killed by signal 9 (SIGKILL; out of memory perhaps)",
        f"{DIED}ended with exit code 7",
    ]
    assert folder.run().code == 0
    folder.complete()


def test_a_worker_that_is_killed_from_outside_costs_nothing(tmp_path: Path) -> None:
    folder = Folder(tmp_path, options=QUIET)
    running = folder.start(patch=when_read("time.sleep(0.1)"))
    folder.wait_for_records(2, running)
    os.kill(running.workers()[0], signal.SIGKILL)
    ended = running.end()
    assert (ended.code, ended.err) == (0, "")
    folder.complete()


def test_a_crash_while_the_model_is_loaded(tmp_path: Path) -> None:
    folder = Folder(tmp_path, options=QUIET)
    patch = after_import("heatcli.loading", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
    ended = folder.run(patch=patch)
    died = "heatcli: net.onnx: the process that loads it died: killed by signal 11 (SIGSEGV)\n"
    assert (ended.code, ended.out, ended.err) == (3, "", died)
    assert not folder.maps.exists()


# others -------------------------------------------------------------------------------------------------------------


def test_a_second_run_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    folder = Folder(tmp_path, options=THREADS)
    go_on = folder.root / "go-on"
    waiting = f"while '00004' in str(source) and not os.path.exists({str(go_on)!r}): time.sleep(0.01)"
    running = folder.start(patch=when_read(waiting))
    folder.wait_for_records(3, running)
    for more in ((), ("--overwrite",)):
        second = folder.run(*more)
        assert second.code == 2
        assert second.err == (
            "heatcli: maps: another heatcli is writing there; wait for it, or give another output folder\n"
        )
    go_on.touch()
    assert running.end().code == 0
    folder.complete()


def _until(there) -> None:
    begun = time.monotonic()
    while not there():
        assert time.monotonic() - begun < PATIENCE
        time.sleep(0.005)
