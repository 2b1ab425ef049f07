"""Fetch a known model: resumed where it broke off, verified by sha256, put in place by one rename.

Whatever a server sends, no more than the registered size is read, and nothing is used whose checksum is another.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import heatcli
from heatcli.errors import HeatcliError
from heatcli.known.cache import cached, path_of
from heatcli.known.registry import Known, sources

TRIES = 3
"""How often a source is asked before the next one is."""
TIMEOUT = 30.0
"""Seconds without an answer or a byte after which a connection counts as broken."""
BLOCK = 1 << 18
NOT_SATISFIABLE = 416
PARTIAL = 206

Progress = Callable[[int, int], None]


class _Wrong(Exception):
    """The server answers, but with another file; asking again is of no use."""


def pull(known: Known, *, offline: bool = False, progress: Progress | None = None) -> Path:
    """Return the path of ``known`` in the cache, fetching it first where it is missing.

    ``progress`` is told how many bytes are here, and of how many. Raises HeatcliError with the reason of every source
    where none serves the file, or where it is missing and ``offline``.
    """
    if found := cached(known):
        return found
    target = path_of(known)
    if offline:
        raise HeatcliError(f"{known.name} is not in the cache, and --offline forbids fetching it\n{_by_hand(known)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    # What an earlier run left is claimed by renaming it, which only one of several processes can; each has its own.
    kept, own = (target.with_name(f"{target.name}{end}") for end in (".part", f".{os.getpid()}.part"))
    if kept.exists():
        kept.replace(own)
    reasons = []
    try:
        for source in sources(known):
            try:
                _from(source, known, own, progress)
            except (_Wrong, HTTPException, OSError, ValueError) as error:
                reasons.append(f"  {source}: {_reason(error)}")
            else:
                own.replace(target)
                return target
    finally:
        if own.exists():
            own.replace(kept)
    raise HeatcliError("\n".join([f"{known.name} could not be fetched:", *reasons, _by_hand(known)]))


def _from(source: str, known: Known, part: Path, progress: Progress | None) -> None:
    """Bring ``part`` to the whole file. Raises the last error of several tries, or _Wrong at once."""
    for left in reversed(range(TRIES)):
        begun = part.stat().st_size if part.exists() else 0
        try:
            _receive(source, known, part, progress)
            _verify(known, part)
        except _Wrong:
            part.unlink(missing_ok=True)
            if not begun or not left:  # what was kept from before may have been the fault
                raise
        except HTTPError as error:
            error.close()
            if error.code != NOT_SATISFIABLE or not left:
                raise
            part.unlink(missing_ok=True)
        except (HTTPException, OSError):
            if not left:
                raise
        else:
            return


def _receive(source: str, known: Known, part: Path, progress: Progress | None) -> None:
    """Append to ``part`` what it lacks. Raises _Wrong for a file of another size, OSError where it breaks off."""
    if urlsplit(source).scheme not in ("http", "https"):
        raise ValueError("is no http or https address")
    here = part.stat().st_size if part.exists() else 0
    if here >= known.size:
        return
    headers = {"User-Agent": f"heatcli/{heatcli.__version__}", "Accept-Encoding": "identity"}
    if here:
        headers["Range"] = f"bytes={here}-"
    request = Request(source, headers=headers)  # noqa: S310 - the scheme was checked above
    with build_opener(_Redirects).open(request, timeout=TIMEOUT) as answer, part.open("ab") as stream:
        goes_on = answer.status == PARTIAL and answer.headers.get("Content-Range", "").startswith(f"bytes {here}-")
        if here and not goes_on:
            if answer.status == PARTIAL:
                raise _Wrong("sends another part of the file than was asked for")
            stream.truncate(0)
            here = 0
        before = here
        while here < known.size and (block := answer.read(min(BLOCK, known.size - here))):
            stream.write(block)
            here += len(block)
            if progress is not None:
                progress(here, known.size)
        if here == known.size:
            return
        if answer.headers.get("Content-Length") == str(here - before):
            raise _Wrong(f"serves a file of {here:,} bytes, not of {known.size:,}")
    raise OSError(f"broke off after {here:,} of {known.size:,} bytes")


def _verify(known: Known, part: Path) -> None:
    with part.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != known.sha256:
        raise _Wrong(f"serves another file (sha256 {found[:12]}… instead of {known.sha256[:12]}…)")


class _Redirects(HTTPRedirectHandler):
    """Follows redirects to http and https, but never from https to http."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """Return the request for ``newurl``. Raises URLError where it is not to be followed."""
        scheme = urlsplit(newurl).scheme
        if scheme != "https" and (scheme != "http" or req.type == "https"):
            fp.close()
            raise URLError(f"redirects to {newurl}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"answers {error.code} {str(error.reason).partition(chr(10))[0]}"
    if isinstance(error, URLError):
        error = error.reason if isinstance(error.reason, Exception) else error
        return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)
    return str(error) or type(error).__name__


def _by_hand(known: Known) -> str:
    return (
        f"Put the file with sha256 {known.sha256}\nat {path_of(known)}, or give its own path; "
        "HEATCLI_ZOO_URL names another server."
    )
