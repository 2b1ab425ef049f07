"""Whether somebody is at an address, said soon and in a line: Dask itself tries for long, and tells much."""

from __future__ import annotations

import logging
import re
import socket
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from heatcli.errors import UsageError

ADDRESS = re.compile(r"(?:(?P<scheme>tcp|tls|ws|wss)://)?(?P<host>\[[^\]\s]+\]|[^\s:/@\[\]]+):(?P<port>\d{1,5})/?")


def checked(address: str) -> str:
    """Return the address with its scheme; raises UsageError where it is none."""
    found = ADDRESS.fullmatch(address.strip())
    if found is None or not 0 < int(found["port"]) < 1 << 16:
        raise UsageError(f"--cluster {address}: is no address of a Dask scheduler, such as tcp://host:8786")
    return f"{found['scheme'] or 'tcp'}://{found['host']}:{found['port']}"


def reach(address: str, seconds: float) -> None:
    """Raise UsageError at once where nobody listens; distributed itself would try again and again."""
    host, _, port = address.partition("://")[2].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=seconds).close()
    except (OSError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"--cluster {address}: nobody answers there ({said}); start a scheduler with: dask scheduler"
        ) from error


def quiet() -> None:
    """Keep what distributed tells its operators away from people who look at pictures."""
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in ("distributed", "tornado")]
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"distributed\b")


def within(seconds: float, fn: Callable[..., Any], /, *args: Any, **keywords: Any) -> Any:
    """Return ``fn(*args, **keywords)``; raises TimeoutError where it takes longer: what hangs says nothing."""
    future: Future[Any] = Future()

    def call() -> None:
        try:
            future.set_result(fn(*args, **keywords))
        except BaseException as error:  # is raised again where the result is waited for
            future.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    return future.result(timeout=seconds)


def reason(error: BaseException) -> str:
    """Return what an exception of distributed says, in a line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
