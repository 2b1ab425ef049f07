"""What a URL says by itself: the kind of storage, what of it may be shown, the pattern in it."""

from __future__ import annotations

import re

WEB = ("http", "https")


def scheme(url: str) -> str:
    """Return what stands before ``://``, of a chain the first link."""
    return url.partition("://")[0].partition("::")[0].lower()


def on_the_web(url: str) -> bool:
    """Whether a web server is asked, which has no folders, and for which ``?`` and ``#`` end the path."""
    return scheme(url) in WEB


def plain(url: str) -> str:
    """Return ``url`` without what stands behind its path on the web: a query or a fragment."""
    return re.split(r"[?#]", url, maxsplit=1)[0] if on_the_web(url) else url


def shown(url: str) -> str:
    """Return ``url`` without credentials, and on the web without what stands behind the path: signatures."""
    head, slashes, rest = plain(url).partition("://")
    host, slash, path = rest.partition("/")
    user, at, server = host.rpartition("@")
    if at and (on_the_web(url) or ":" in user):
        host = server
    return f"{head}{slashes}{host}{slash}{path}"


def is_glob(url: str) -> bool:
    """Whether there is a wildcard in its path; on the web ``?`` and ``[`` mean other things."""
    path = plain(url).partition("://")[2].partition("/")[2]
    return "*" in path or (not on_the_web(url) and ("?" in path or "[" in path))


def split_glob(url: str) -> tuple[str, str]:
    """Return the folder before the first wildcard, with its slash, and the pattern below it."""
    start = url.index("://") + 3
    host = start + len(url[start:].partition("/")[0])
    wild = next(place for place in range(host, len(url)) if url[place] in "*?[")
    slash = url.rindex("/", 0, wild) + 1
    return url[:slash], url[slash:]
