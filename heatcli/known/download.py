"""Fetch a known model: over https alone, resumed where it broke off, verified by sha256, put in place by one rename.

Whatever a server sends, no more than the registered size is read, and nothing is used whose checksum is another.
"""

from __future__ import annotations

import os
import re
import ssl
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

import heatcli
from heatcli.errors import HeatcliError, UsageError, shown
from heatcli.known.cache import altered, cached, genuine, made, path_of
from heatcli.known.part import Part
from heatcli.known.registry import SERVER, Known, sources

TRIES = 3
"""How often a source is asked before the next one is."""
TIMEOUT = 30.0
"""Seconds without an answer or a byte after which a connection counts as broken."""
PATIENCE, SLOWEST = 60.0, 100_000
"""So many bytes must come within so many seconds, or the connection counts as broken too."""
AROUND = 1 << 20
"""So many bytes may come around the file, and once more what it has itself: headers, redirects, the sizes of parts."""
BLOCK = 1 << 18
NOT_SATISFIABLE = 416
PARTIAL = 206

Progress = Callable[[int, int], None]


class _Wrong(Exception):
    """The server answers, but not with the file; asking again is of no use."""


def pull(known: Known, *, offline: bool = False, progress: Progress | None = None) -> Path:
    """Return the path of ``known`` in the cache, fetching it first where it is missing or has been changed.

    ``progress`` is told how many bytes are here, and of how many. Raises HeatcliError with the reason of every source
    where none serves the file, or where it is missing and ``offline``, and UsageError for a server that is not asked.
    """
    found = cached(known)
    if found and genuine(found, known):
        return found
    if offline:
        why = altered(found, known).partition("\n")[0] if found else f"{known.name} is not in the cache"
        raise HeatcliError(f"{why}, and --offline forbids fetching it\n{_by_hand(known)}")
    places = sources(known)
    for place in places:
        _check(place)
    reasons = []
    target = made() / path_of(known).name
    with Part(target) as part:
        for place in places:
            try:
                _from(place, known, part, progress)
            except (_Wrong, HTTPException, OSError, ValueError) as error:
                reasons.append(f"  {place}: {_reason(error)}")
            else:
                part.finish()
                return target
    raise HeatcliError("\n".join([f"{known.name} could not be fetched:", *reasons, _by_hand(known)]))


def _check(source: str) -> None:
    """Raise UsageError for an address that is not asked."""
    given = f"{SERVER}={shown(os.environ.get(SERVER, source))}"
    try:
        parts = urlsplit(source)
        scheme, host, user = parts.scheme, parts.hostname, parts.username
    except ValueError as error:
        raise UsageError(f"{given}: is no address ({error}); give one such as https://host/folder") from None
    if scheme != "https" or not host:
        raise UsageError(f"{given}: models are fetched over https only; give an address such as https://host/folder")
    if user is not None or parts.query or parts.fragment:
        raise UsageError(f"{SERVER}: an address such as https://host/folder is needed, without a user or a query")


def _from(source: str, known: Known, part: Part, progress: Progress | None) -> None:
    """Bring ``part`` to the whole file. Raises the last error of several tries, or _Wrong at once."""
    for left in reversed(range(TRIES)):
        begun = part.size
        try:
            _receive(source, known, part, progress)
            _verify(known, part)
        except _Wrong:
            part.clear()
            if not begun or not left:  # what was kept from before may have been the fault
                raise
        except HTTPError as error:
            error.close()
            if error.code != NOT_SATISFIABLE or not left:
                raise
            part.clear()
        except (HTTPException, OSError) as error:
            if not left or isinstance(getattr(error, "reason", error), ssl.SSLCertVerificationError):
                raise
        else:
            return


def _receive(source: str, known: Known, part: Part, progress: Progress | None) -> None:
    """Append to ``part`` what it lacks. Raises _Wrong for a file of another size, OSError where it breaks off."""
    if part.size >= known.size:
        return
    headers = {"User-Agent": f"heatcli/{heatcli.__version__}", "Accept-Encoding": "identity"}
    if part.size:
        headers["Range"] = f"bytes={part.size}-"
    request = Request(source, headers=headers)  # noqa: S310 - the scheme was checked before
    with _opener(_Pace(2 * known.size + AROUND)).open(request, timeout=TIMEOUT) as answer:
        if part.size:
            _go_on(answer.status, answer.headers.get("Content-Range", ""), known, part)
        before = part.size
        while part.size < known.size and (block := answer.read1(min(BLOCK, known.size - part.size))):
            part.write(block)
            if progress is not None:
                progress(part.size, known.size)
        if part.size == known.size:
            return
        if answer.headers.get("Content-Length") == str(part.size - before):
            raise _Wrong(f"serves a file of {part.size:,} bytes, not of {known.size:,}")
    raise OSError(f"broke off after {part.size:,} of {known.size:,} bytes")


def _go_on(status: int, span: str, known: Known, part: Part) -> None:
    """Make ``part`` ready for the answer to a request for its rest; raises _Wrong where that is of no use.

    A server that knows no ranges sends the whole file again.
    """
    if status != PARTIAL:
        part.clear()
        return
    found = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", span.strip(), re.ASCII)
    if found is None or int(found[1]) != part.size:
        raise _Wrong("sends another part of the file than was asked for")
    if found[2] not in ("*", str(known.size)):
        raise _Wrong(f"serves a file of {int(found[2]):,} bytes, not of {known.size:,}")


def _verify(known: Known, part: Part) -> None:
    if part.size > known.size:
        raise _Wrong(f"more is here than the {known.size:,} bytes of the file")
    found = part.sha256()
    if found != known.sha256:
        raise _Wrong(f"serves another file (sha256 {found[:12]}… instead of {known.sha256[:12]}…)")


class _Pace:
    """Watches how fast bytes come, and how many, those of headers too.

    A server that sends one now and then, or headers without end, would hold us forever.
    """

    def __init__(self, most: int) -> None:
        self._since, self._bytes, self._left = time.monotonic(), 0, most

    def moved(self, amount: int) -> None:
        """Count ``amount`` bytes; raises OSError where too few came in the time, or more than the file can take."""
        self._bytes += amount
        self._left -= amount
        if self._left < 0:
            raise OSError("sends much more than the file")
        passed = time.monotonic() - self._since
        if passed < PATIENCE:
            return
        if self._bytes < SLOWEST:
            raise OSError(f"is too slow: {self._bytes:,} bytes in {passed:.0f} seconds")
        self._since, self._bytes = time.monotonic(), 0


class _Redirects(HTTPRedirectHandler):
    """Follows redirects to https alone."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """Return the request for ``newurl``. Raises _Wrong where it is not to be followed."""
        fp.close()  # what comes with a redirect is of no use, and would be read to its end
        if urlsplit(newurl).scheme != "https":
            raise _Wrong(f"redirects to {shown(newurl)}; only https is followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _watched(pace: _Pace) -> ssl.SSLContext:
    """Return how connections are secured, ``pace`` being told of all that comes through them."""

    class Watched(ssl.SSLSocket):
        def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
            amount = super().recv_into(buffer, nbytes, flags)
            pace.moved(amount)
            return amount

    context = ssl.create_default_context()
    context.sslsocket_class = Watched
    return context


def _opener(pace: _Pace) -> OpenerDirector:
    """Return what opens https addresses and no others, through the proxies that the environment names."""
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        UnknownHandler(),
        HTTPDefaultErrorHandler(),
        HTTPErrorProcessor(),
        _Redirects(),
        HTTPSHandler(context=_watched(pace)),
    ):
        opener.add_handler(handler)
    return opener


def _reason(error: Exception) -> str:
    """Return in a line why a source was of no use."""
    if isinstance(error, HTTPError):
        return f"answers {error.code} {shown(str(error.reason).partition(chr(10))[0])}".rstrip()
    cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({cause.verify_message}); SSL_CERT_FILE names other authorities"
    if isinstance(cause, TimeoutError):
        return f"gave no answer for {TIMEOUT:g} seconds"
    text = getattr(cause, "reason", None) or getattr(cause, "strerror", None) or cause
    return " ".join(str(text).split())[:200] or type(cause).__name__


def _by_hand(known: Known) -> str:
    return (
        f"Put the file with sha256 {known.sha256}\nat {path_of(known)}, or give its own path; "
        f"{SERVER} names another server."
    )
