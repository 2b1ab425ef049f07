"""Files behind URLs, in object storage and on servers: the only place that knows fsspec.

Whatever a storage raises becomes a ``StorageError`` of one line, in which no credentials stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO

from heatcli.errors import UsageError

GET_IT = "python -m pip install 'heatcli[cloud]'"
WEB = ("http", "https")
OBJECT_STORES = frozenset(("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "memory"))
"""Storages where an object appears whole or not at all; elsewhere a temporary name is written and moved."""
BUCKETS = frozenset(("s3", "s3a", "gs", "gcs"))
CHANGED = ("LastModified", "last_modified", "mtime", "modified", "updated", "created", "Last-Modified")
"""What storages call the time of the last change."""
BLOCK = 4 << 20
"""Bytes that are asked for at a time where a file is read from its beginning on."""
SECRET = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+://)(?:[^\s/'\"@]*@)?(?P<rest>[^\s'\"?#<>]*)(?:[?#][^\s'\"<>)]*)?"
)


class StorageError(OSError):
    """A remote storage cannot be reached, or says no; the message says why in one line, without the file's name."""


def scheme(url: str) -> str:
    """Return what stands before ``://``, of a chain the first link."""
    return url.partition("://")[0].partition("::")[0].lower()


def shown(url: str) -> str:
    """Return ``url`` without credentials, and on the web without what stands behind the path: signatures."""
    head, slashes, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    user, at, server = host.rpartition("@")
    if at and (head.lower() in WEB or ":" in user):
        host = server
    if head.lower() in WEB:
        path = re.split(r"[?#]", path, maxsplit=1)[0]
        host = re.split(r"[?#]", host, maxsplit=1)[0]
    return f"{head}{slashes}{host}{slash}{path}"


def plain(url: str) -> str:
    """Return ``url`` without what stands behind its path on the web: a query or a fragment."""
    return re.split(r"[?#]", url, maxsplit=1)[0] if scheme(url) in WEB else url


def is_glob(url: str) -> bool:
    """Whether there is a wildcard in its path; on the web ``?`` and ``[`` mean other things."""
    path = plain(url).partition("://")[2].partition("/")[2]
    return "*" in path or (scheme(url) not in WEB and ("?" in path or "[" in path))


def split_glob(url: str) -> tuple[str, str]:
    """Return the folder before the first wildcard, with its slash, and the pattern below it."""
    start = url.index("://") + 3
    host = start + len(url[start:].partition("/")[0])
    wild = next(place for place in range(host, len(url)) if url[place] in "*?[")
    slash = url.rindex("/", 0, wild) + 1
    return url[:slash], url[slash:]


def require(url: str) -> None:
    """Raise UsageError where this kind of URL is not known, or the package that knows it is not installed."""
    kind = scheme(url)
    try:
        import fsspec
    except ImportError:
        raise UsageError(f"{shown(url)}: reading and writing URLs needs fsspec: {GET_IT}") from None
    try:
        fsspec.get_filesystem_class(kind)
    except ImportError as error:
        needed = " ".join(str(error).split())
        raise UsageError(f"{shown(url)}: a package for {kind}:// is missing ({needed}): {GET_IT}") from None
    except ValueError:
        raise UsageError(f"{shown(url)}: {kind}:// is no kind of storage that fsspec knows") from None


def read(url: str, limit: int) -> bytes:
    """Return the content; raises StorageError, also where it is larger than ``limit`` bytes."""
    with _translated(url):
        files, path = _opened(url)
        if scheme(url) in WEB:  # servers may ignore which bytes they are asked for
            with files.open(path, "rb", block_size=BLOCK, cache_type="none") as stream:
                content: bytes = stream.read(limit + 1)
        else:
            content = files.cat_file(path, start=0, end=limit + 1)
    if len(content) > limit:
        raise StorageError(f"more than {limit:,} bytes; that is no picture")
    return content


def part(url: str, start: int, size: int) -> bytes:
    """Return ``size`` bytes from ``start`` on; raises StorageError where the storage gives others."""
    if not size:
        return b""
    with _translated(url):
        files, path = _opened(url)
        content: bytes = files.cat_file(path, start=start, end=start + size)
    if len(content) != size:
        said = "the file ends before" if len(content) < size else "the server does not serve parts of files"
        raise StorageError(f"{size:,} bytes were asked for and {len(content):,} came: {said}")
    return content


@contextmanager
def opened(url: str) -> Iterator[BinaryIO]:
    """Open the file for reading from its beginning on, with jumps; raises StorageError, in the block as well."""
    with _translated(url), kept_open(url) as stream:
        yield stream


def kept_open(url: str) -> BinaryIO:
    """Open the file for reading with jumps; reading raises what the storage does."""
    with _translated(url):
        files, path = _opened(url)
        stream: BinaryIO = files.open(path, "rb", block_size=BLOCK, cache_type="readahead")
        if not stream.seekable():
            stream.close()
            raise StorageError("the server does not serve parts of files, which archives need; fetch it first")
        return stream


def is_folder(url: str) -> bool:
    """Whether there are objects below ``url``."""
    with _translated(url):
        files, path = _opened(url)
        files.invalidate_cache()
        return bool(files.isdir(path))


def exists(url: str) -> bool:
    """Whether there is an object of this name."""
    with _translated(url):
        files, path = _opened(url)
        return bool(files.isfile(path))


def below(url: str, *, recursive: bool) -> list[str]:
    """Return the places of all objects below the folder ``url``."""
    with _translated(url):
        files, path = _opened(url)
        files.invalidate_cache()
        found = files.find(path, maxdepth=None if recursive else 1)
        files.invalidate_cache()
        return _inside(path, found)


def matches(folder: str, pattern: str) -> list[str]:
    """Return the places below the URL ``folder`` of all objects and folders that fit the glob ``pattern``."""
    with _translated(folder):
        files, path = _opened(folder)
        files.invalidate_cache()
        found = files.glob(f"{path.rstrip('/')}/{pattern}")
        files.invalidate_cache()
        return _inside(path, found)


def _inside(folder: str, found: Iterable[str]) -> list[str]:
    base = folder.rstrip("/") + "/"
    return [name[len(base) :] for name in found if name.startswith(base) and len(name) > len(base)]


def write(url: str, content: bytes) -> None:
    """Write an object whole: by one request where that is all or nothing, else under another name that is moved."""
    with _translated(url):
        files, path = _opened(url)
        if scheme(url) in OBJECT_STORES:
            files.pipe_file(path, content)
            return
        folder, _, name = path.rpartition("/")
        temporary = f"{folder}/.{name}.part" if folder else f".{name}.part"
        files.makedirs(folder, exist_ok=True)
        files.pipe_file(temporary, content)
        if files.exists(path):
            files.rm_file(path)
        files.mv(temporary, path)


def remove(url: str) -> None:
    """Remove the object if it is there."""
    with _translated(url):
        files, path = _opened(url)
        try:
            files.rm_file(path)
        except FileNotFoundError:
            return


def modified(url: str) -> int | None:
    """Return when the object was last changed, in nanoseconds; None where it is not there or the storage is silent."""
    try:
        with _translated(url):
            files, path = _opened(url)
            return _when(files.info(path))
    except StorageError:
        return None


def listed(url: str) -> dict[str, int | None]:
    """Return all objects below the folder ``url``, by their places in it, and when they were last changed."""
    with _translated(url):
        files, path = _opened(url)
        files.invalidate_cache()
        try:
            found = files.find(path, detail=True)
        except FileNotFoundError:
            return {}
        finally:
            files.invalidate_cache()
        base = path.rstrip("/") + "/"
        return {name[len(base) :]: _when(info) for name, info in found.items() if name.startswith(base)}


def check_writable(url: str) -> None:
    """Raise UsageError where nothing can be written below ``url``, as far as can be told without writing."""
    require(url)
    if scheme(url) in WEB:
        raise UsageError(
            f"cannot write to {shown(url)}: the web is for reading; give a folder or a storage such as s3://"
        )
    if scheme(url) not in BUCKETS:
        return
    bucket = url.partition("://")[2].partition("/")[0]
    try:
        with _translated(url):
            files, _ = _opened(url)
            there = files.exists(bucket)
    except StorageError as error:
        raise UsageError(f"cannot write to {shown(url)}: {error}; give another -o") from error
    if not there:
        raise UsageError(f"cannot write to {shown(url)}: there is no bucket {bucket!r}; give another -o")


def _opened(url: str) -> tuple[Any, str]:
    """Return the file system of ``url`` and the path in it."""
    import fsspec

    files, path = fsspec.url_to_fs(url)
    return files, path


def _when(info: dict[str, Any]) -> int | None:
    """Return the time of the last change from what a storage says of an object, in nanoseconds."""
    value = next((info[name] for name in CHANGED if info.get(name) is not None), None)
    if isinstance(value, str):
        parse: Callable[[str], datetime] = parsedate_to_datetime if "," in value else datetime.fromisoformat
        try:
            value = parse(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return int(value * 1e9) if isinstance(value, int | float) else None


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn whatever a storage raises into a StorageError; its clients have no common exception."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:  # no common base, see above
        raise StorageError(_reason(error, url)) from error


def _reason(error: Exception, url: str) -> str:
    """Return why a storage said no, in one line without credentials."""
    text = SECRET.sub(r"\g<scheme>\g<rest>", " ".join(str(error).split()))
    kind = type(error).__name__
    if isinstance(error, ImportError):
        return f"a package for {scheme(url)}:// is missing: {GET_IT}"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return f"no permission ({text})" if text else "no permission"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return f"{text[:200]} ({kind})" if text else kind
