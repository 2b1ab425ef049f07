"""What eyes see on stderr, and data on stdout."""

from __future__ import annotations

import sys

from rich.console import Console

from heatcli.visible import visible

UNBROKEN = 10_000
"""The width of a console that breaks no lines."""


def stderr_console(*, quiet: bool = False) -> Console:
    """Return a console on stderr that takes text literally: no markup, no emoji codes, no guessed highlights.

    Where stderr is no terminal, lines are left as long as they are.
    """
    console = Console(stderr=True, quiet=quiet, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = UNBROKEN
    return console


def stdout_console() -> Console:
    """Return the same on stdout."""
    return Console(markup=False, emoji=False, highlight=False)


def draws_blocks(console: Console) -> bool:
    """Whether what reads the console knows block characters."""
    return console.encoding.lower().startswith("utf")


def emit(text: str, console: Console | None = None, *, lines: bool = False) -> None:
    """Print data on stdout, above the progress bar of ``console`` where both are on one terminal.

    What is piped is UTF-8 whatever the terminal knows, and names of files keep their bytes, whatever these are; on a
    terminal all of it is made visible. ``lines`` says that ``text`` is several lines.
    """
    if not sys.stdout.isatty():
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", errors="surrogateescape") + b"\n")
        sys.stdout.buffer.flush()
        return
    text = visible(text, keep_lines=lines)
    if console is not None and console.is_terminal and not console.quiet:
        console.print(text, soft_wrap=True)
    else:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
