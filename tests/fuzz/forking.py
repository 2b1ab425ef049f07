"""Runs every case in a child of a process that has imported everything, within limits, in a folder of its own."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.cases import KINDS, Case, Name, make

MEMORY = 2 << 30
"""Bytes of address space above what the process has when the case begins."""
FILE = 64 << 20
"""Bytes of the largest file that a case may write."""
CPU = 8
"""Seconds of processor time."""
WALL = 60
"""Seconds; generous, since other processes may have the processors."""
UNMADE = 77
"""The exit code of a child that could not make its case: a fault of the fuzzer."""


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit code, or the signal that killed it; ``late`` where that was for the time it took."""

    code: int | None
    signal: int | None
    late: bool
    seconds: float


def preload() -> None:
    """Import all that commands import, without running any."""
    import pkgutil

    import PIL.Image

    import heatcli

    for module in pkgutil.walk_packages(heatcli.__path__, "heatcli."):
        if not module.name.endswith(("__main__", "batch.cluster", "evaluation.figures", "reporting.tables")):
            importlib.import_module(module.name)
    for kind in (*KINDS, "oracle"):
        importlib.import_module(f"tests.fuzz.{kind}")
    PIL.Image.init()
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)  # our own forks


def warm(root: Path) -> None:
    """Import what commands import only while they run, as a child that runs some tells."""
    modules = set()
    for number in range(12):
        folder = Folder(root / "warm")
        run(Name(KINDS[number % 4], 0, number), folder, modules=True)
        if (told := folder.meta("modules")).exists():
            modules.update(told.read_text("utf-8").split())
    shutil.rmtree(root / "warm", ignore_errors=True)
    for module in sorted(modules):
        if not module.startswith(("tests.", "matplotlib", "pyarrow", "distributed")):
            with contextlib.suppress(Exception):
                importlib.import_module(module)


@dataclass(frozen=True)
class Folder:
    """Where a case lives: ``work`` is its current folder, the others are what else it may see of a machine."""

    root: Path

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    @property
    def home(self) -> Path:
        return self.root / "home"

    def meta(self, name: str) -> Path:
        return self.root / "meta" / name

    def make(self) -> None:
        for part in ("work", "tmp", "home", "meta"):
            (self.root / part).mkdir(parents=True)


def command(arguments: list[str]) -> int:
    """Run ``heatcli`` with ``arguments``."""
    from heatcli.cli import main

    return main(arguments)


def enter(folder: Folder, case: Case) -> None:
    """Make ``folder`` all that the process sees: current folder, streams, temporary files, home."""
    os.chdir(folder.work)
    source = os.open(case.stdin or os.devnull, os.O_RDONLY)
    os.dup2(source, 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder.meta(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.environ.update(
        HOME=str(folder.home),
        TMPDIR=str(folder.tmp),
        XDG_CACHE_HOME=str(folder.home / "cache"),
        XDG_CONFIG_HOME=str(folder.home / "config"),
    )
    for variable in ("HEATCLI_HOME", "COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        os.environ.pop(variable, None)
    tempfile.tempdir = None


def limit() -> None:
    """Bound what the process takes of the machine."""
    with open("/proc/self/statm", encoding="ascii") as stream:
        base = int(stream.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (base + MEMORY, base + MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, FILE))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU, CPU + 2))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def watch(folder: Folder) -> None:
    """Note every file that is written elsewhere, every connection and every program that is started."""
    inside = str(folder.root)
    notes = os.open(folder.meta("strange"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    changing = {
        "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
        "os.chown", "os.utime",
    }  # fmt: skip
    harmless = ("/dev/null", "/dev/shm")
    outside = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect", "socket.getaddrinfo")

    def note(event: str, arguments: tuple) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & writing and isinstance(path, str | bytes):
                look(event, path)
        elif event in changing:
            for path in arguments[:2]:
                if isinstance(path, str | bytes):
                    look(event, path)
        elif event in outside and arguments[:1] != ("uname",):  # with which Python tells the platform
            os.write(notes, f"{event} {arguments!r}\n".encode("utf-8", "backslashreplace")[:500])

    def look(event: str, path: str | bytes) -> None:
        place = os.path.abspath(os.fsdecode(path))
        if not place.startswith((inside + "/", *harmless)) and place != inside:
            os.write(notes, f"{event} {place}\n".encode("utf-8", "backslashreplace")[:500])

    sys.addaudithook(note)


def run(name: Name, folder: Folder, *, modules: bool = False) -> Ended:
    """Make and run a case in ``folder``, which is made anew; what it said lies in ``folder.meta`` afterwards.

    With ``modules`` the modules that were imported meanwhile are listed there too.
    """
    shutil.rmtree(folder.root, ignore_errors=True)
    folder.make()
    begun = time.monotonic()
    child = os.fork()
    if not child:
        _live(name, folder, modules)
    status = None
    late = False
    pause, waited, last = 0.0005, 0.0, begun
    while status is None:
        now = time.monotonic()
        waited, last = waited + min(now - last, 1.0), now  # while all are stopped, no time passes
        ended, status_ = os.waitpid(child, os.WNOHANG)
        if ended:
            status = status_
        elif waited > WALL and not late:
            late = True
            os.kill(child, signal.SIGKILL)
        else:
            time.sleep(pause)
            pause = min(0.01, pause * 1.3)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)  # workers that it left behind
    seconds = time.monotonic() - begun
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return Ended(None, number, late or number == signal.SIGXCPU, seconds)
    return Ended(os.WEXITSTATUS(status), None, late, seconds)


def _live(name: Name, folder: Folder, modules: bool) -> None:
    """Be the child: never returns."""
    code = UNMADE
    before = set(sys.modules)
    try:
        os.setsid()
        try:
            case = make(name, folder.work)
        except BaseException:
            folder.meta("unmade").write_text(traceback.format_exc(), "utf-8")
            os._exit(UNMADE)
        folder.meta("case.json").write_text(case.written(), "utf-8")
        from tests.fuzz.oracle import listing

        folder.meta("before.json").write_text(listing(folder.work), "utf-8")
        enter(folder, case)
        crash = open(folder.meta("crash"), "w", encoding="utf-8")  # noqa: SIM115 - open until the process ends
        faulthandler.enable(crash)
        faulthandler.dump_traceback_later(WALL - 2, file=crash)  # says where it hangs
        watch(folder)
        limit()
        faulthandler.register(signal.SIGXCPU, crash, chain=True)
        code = command(case.arguments)
        sys.stdout.flush()
        sys.stderr.flush()
        if modules:
            folder.meta("modules").write_text("\n".join(set(sys.modules) - before), "utf-8")
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        code = UNMADE + 1
    finally:
        os._exit(code)
