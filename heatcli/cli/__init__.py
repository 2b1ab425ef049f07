"""The command line, the one room that knows typer and rich: ``main`` runs a command, errors become exit codes."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heatcli.batch import remarks
from heatcli.cli import interrupts
from heatcli.cli.interrupts import INTERRUPTED, Interrupted
from heatcli.cli.text import lines_in_bounds
from heatcli.errors import Fault, HeatcliError
from heatcli.visible import visible


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``heatcli`` with ``arguments`` (default: those of the process) and return its exit code.

    0 all done, 1 some inputs failed, 2 wrong usage, 3 the model cannot be used, 130 interrupted. Every error is one
    message on stderr; the traceback is shown with ``--debug``.
    """
    try:
        return _main(arguments)
    except (KeyboardInterrupt, Interrupted) as stop:
        return _interrupted(stop, alone=arguments is None)


def _main(arguments: Sequence[str] | None) -> int:
    if arguments is None:
        interrupts.listen()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    debug = "--debug" in arguments
    if sys.stderr is None:  # closed by whoever started us; messages have nowhere to go
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open until the process ends
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - open until the process ends
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names of files need not be text, and the terminal may not know every sign
            stream.reconfigure(errors="backslashreplace")
    if sys.stdout is None:
        _say("stdout is closed; send it somewhere, such as > paths.txt")
        return 1
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget(sys.stdout)
        return 1
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except Fault as error:
        return _fault(str(error), error.trace, debug=debug)
    except HeatcliError as error:
        if debug:
            _write("".join(traceback.format_exception(error)), arguments)
        _say(str(error), arguments)
        return error.exit_code
    except OSError as error:
        if error.filename is not None:
            return _fault(*_told(error), debug=debug)
        _say(f"cannot write the output ({error.strerror or error})")  # an open stream: those of files have names
        _forget(sys.stdout, sys.stderr)
        return 1
    except Exception as error:  # a fault of heatcli itself
        return _fault(*_told(error), debug=debug)
    return code


def _interrupted(stop: BaseException, *, alone: bool) -> int:
    """Return the exit code; where the process is ours ``alone``, end it, and with it what threads are at.

    A command that has said how far it was gives its words to the interrupt; else that it was one is said here.
    """
    if not stop.args:
        _say("interrupted")
    if alone:
        interrupts.end_at_once()
    return INTERRUPTED


def _told(error: Exception) -> tuple[str, str]:
    """Return what is said of an exception in a line, and its traceback."""
    return f"unexpected {type(error).__name__}: {error}", "".join(traceback.format_exception(error))


def _fault(message: str, trace: str, *, debug: bool) -> int:
    """Say in a line what went wrong inside, the rest with ``debug``; return the exit code."""
    if debug:
        _write(trace)
    hint = "" if debug else "\nThis is a fault in heatcli; run the command again with --debug to see where."
    _say(f"{message}{hint}")
    return 1


def _run(arguments: Sequence[str]) -> int:
    """Hand the arguments to typer; its errors of usage are shown in the manner of all others."""
    import typer

    from heatcli.cli.app import app

    remarks.ignore()
    # whichever click typer works with, its own copy or the package, is found through the one error it exports
    click_error: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
    try:
        # with no command at all the help is shown, and wrong usage reported
        asked = list(arguments) or ["--help"]
        code = typer.main.get_command(app).main(asked, prog_name="heatcli", standalone_mode=False)
        if not arguments:
            return 2
    except typer.Abort:
        return INTERRUPTED
    except click_error as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "heatcli"
        _say(f"{_in_our_words(error)}\nTry '{command} --help'.", arguments)
        return 2
    except Exception as error:
        if interrupts.heard():  # it came into an import perhaps, which then failed
            raise Interrupted from error
        raise
    return code if isinstance(code, int) else 0


def _in_our_words(error: Any) -> str:
    """Return what an error of typer says; of a choice in the way of all others: ``--fit tall: unknown; known: …``."""
    message = str(error.format_message())
    options = getattr(getattr(error, "param", None), "opts", None)
    choice = re.search(r"'([^']*)' is not one of (.*?)\.?$", message)
    if not options or not choice:
        return message
    return f"{max(options, key=len)} {choice[1]}: unknown; known: {choice[2].replace(chr(39), '')}"


def _say(message: str, arguments: Sequence[str] = ()) -> None:
    """Print an error on stderr, see ``_write``."""
    _write(f"heatcli: {message}\n", arguments)


def _write(text: str, arguments: Sequence[str] = ()) -> None:
    """Write lines on stderr, if stderr takes them, as text that can be seen; breaks in what was typed are no lines."""
    for given in arguments:
        if "\n" in given:
            for part in (given, *re.split("[=,]", given)):
                text = text.replace(part, visible(part)) if "\n" in part.strip() else text
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(lines_in_bounds(visible(text, keep_lines=True)))


def _forget(*streams: Any) -> None:
    """Point streams at nothing, so that Python does not complain at exit that their reader has gone."""
    for stream in streams:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
