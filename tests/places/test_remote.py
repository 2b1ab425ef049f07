"""Inputs and outputs behind URLs: a server that speaks the protocol of S3, a web server, storage in memory."""

from __future__ import annotations

import copy
import functools
import http.server
import io
import logging
import os
import pickle
import re
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heatcli.errors import PictureError, UsageError
from heatcli.places import outputs, remote, storage
from heatcli.places.sources import Sources, expand

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")


def contents(found: Sources) -> dict[str, Any]:
    """Read every item as a worker on another machine would: from its pickled self, and not in this folder."""
    return {item.below: pickle.loads(pickle.dumps(item)).picture() for item in found.items}


def tar(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


BIG = os.urandom(3_000_000)
FILES = {
    "x/10.jpg": b"ten",
    "x/2.jpg": b"two",
    "x/sub/3.png": b"three",
    "x/n.txt": b"text",
    "x/.hidden.jpg": b"?",
    "x/1.heatmap.png": b"ours",
    "empty.jpg": b"",
    "shards/s-000.tar": tar({"a/1.jpg": b"one" * 100, "a/1.cls": b"7", "b/2.png": BIG, "b/3.png": b"three"}),
    "shards/s-001.tar": tar({"a/1.jpg": b"other"}),
    "shards/old.tar.gz": b"",
    "z.zip": zipped({"z/1.jpg": b"zipped" * 10, "z/big.jpg": BIG}),
    "cat[1].jpg": b"brackets",
}


class Requests(logging.Handler):
    """What a server was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        found = re.search(r"(GET|PUT|POST|HEAD|DELETE) (\S+)", record.getMessage())
        if found:
            self.seen.append(found[0])


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A bucket ``pics`` with FILES on a server of this machine, and the environment that leads there."""
    moto = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "sesame")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        files = fsspec.filesystem("s3", skip_instance_cache=True)
        files.mkdir("pics")
        for name, content in FILES.items():
            files.pipe_file(f"pics/{name}", content)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        yield files
        fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.stop()


@pytest.fixture
def requests(s3: Any) -> Iterator[Requests]:
    handler = Requests()
    logger = logging.getLogger("werkzeug")
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


@pytest.mark.usefixtures("s3")
class TestS3:
    def test_a_prefix_is_searched_in_natural_order(self) -> None:
        found = expand(["s3://pics/x"])
        assert list(contents(found).items()) == [("2.jpg", b"two"), ("10.jpg", b"ten"), ("sub/3.png", b"three")]
        assert found.items[0].name == found.items[0].place == "s3://pics/x/2.jpg"
        assert (found.folders, found.skipped) == (("s3://pics/x",), 1)
        assert list(contents(expand(["s3://pics/x/"], recursive=False))) == ["2.jpg", "10.jpg"]
        assert contents(expand(["s3://pics/x"], patterns=["*.txt"])) == {"n.txt": b"text"}

    def test_an_object_and_a_glob(self) -> None:
        assert contents(expand(["s3://pics/x/2.jpg"])) == {"2.jpg": b"two"}
        assert contents(expand(["s3://pics/x/*.jpg"])) == {"2.jpg": b"two", "10.jpg": b"ten"}
        assert contents(expand(["s3://pics/**/[23].*g"])) == {"x/2.jpg": b"two", "x/sub/3.png": b"three"}
        assert contents(expand(["s3://pics/cat[1].jpg"])) == {"cat[1].jpg": b"brackets"}

    def test_a_tar_is_read_by_ranges(self, requests: Requests) -> None:
        (first, big, last) = expand(["s3://pics/shards/s-000.tar"]).items
        assert first.name == "s3://pics/shards/s-000.tar/a/1.jpg"
        requests.seen.clear()
        assert big.picture() == BIG
        assert last.picture() == b"three"
        assert requests.seen == ["GET /pics/shards/s-000.tar"] * 2

    def test_shards_by_a_glob(self) -> None:
        found = expand(["s3://pics/shards/*.tar"])
        assert list(contents(found)) == ["s-000/a/1.jpg", "s-000/b/2.png", "s-000/b/3.png", "s-001/a/1.jpg"]
        (packed,) = [item for item in expand(["s3://pics/shards/*"]).items if item.problem]
        assert "no random access" in (packed.problem or "")

    def test_a_zip(self) -> None:
        assert contents(expand(["s3://pics/z.zip"])) == {"z/z/1.jpg": b"zipped" * 10, "z/z/big.jpg": BIG}

    def test_a_list_of_everything(self, tmp_path: Path) -> None:
        lines = [
            "s3://pics/x/2.jpg",
            "s3://pics/shards/s-001.tar",
            "s3://pics/x/sub/",
            "s3://none/x.jpg",
            "s3://none/x.tar",
        ]
        storage.write("s3://pics/list.txt", "\n".join(lines).encode())
        found = expand([], listed="s3://pics/list.txt")
        assert [item.below for item in found.items] == [
            *("pics/x/2.jpg", "pics/shards/s-001/a/1.jpg", "pics/x/sub/3.png", "none/x.jpg", "x.tar"),
        ]
        said = []
        for item in found.items:
            try:
                item.picture()
            except PictureError as error:
                said.append(str(error))
        assert said == ["s3://none/x.jpg: there is no such bucket", "s3://none/x.tar: there is no such bucket"]

    def test_more_objects_than_an_answer_holds(self, s3: Any, requests: Requests) -> None:
        from moto.s3.models import s3_backends

        keys = s3_backends[next(iter(s3_backends))]["aws"].buckets["pics"].keys
        (model,) = keys.getlist("x/2.jpg")
        names = [f"many/{n // 500}/ü {n}.jpg" for n in range(2300)]
        for name in names:
            keys[name] = entry = copy.copy(model)
            entry.name = name
        keys["many/0/"] = folder = copy.copy(model)
        folder.name = "many/0/"
        found = expand(["s3://pics/many/"])
        assert [item.below for item in found.items] == [name.removeprefix("many/") for name in names]
        requests.seen.clear()
        assert len(storage.listed("s3://pics/many")) == 2300
        assert len(requests.seen) == 3
        assert list(storage.listed("s3://pics/many/4"))[-1] == "s3://pics/many/4/ü 2299.jpg"
        for name in ("many/0/", *names):
            del keys[name]

    def test_what_is_not_there(self) -> None:
        for name, message in (("missing.jpg", "there is none"), ("empty.jpg", "the file is empty")):
            (item,) = expand([f"s3://pics/{name}"]).items
            with pytest.raises(PictureError, match=f"^s3://pics/{name}: {message}$"):
                item.picture()
        for text in ("s3://none/", "s3://pics/nothing/", "s3://pics/none*.jpg"):
            with pytest.raises(UsageError, match=re.escape(text.rstrip("/"))):
                expand([text])

    def test_heatmaps_are_written_by_one_request(self, s3: Any, requests: Requests) -> None:
        found = expand(["s3://pics/x"])
        plan = outputs.plan(found, "s3://pics/maps/")
        outputs.check(plan, found.items)
        assert plan.records == "s3://pics/maps/records.jsonl"
        places = [plan.heatmap(item) for item in found.items]
        assert places[2] == "s3://pics/maps/sub/3.heatmap.png"
        requests.seen.clear()
        for place in places:
            storage.write(place, place.encode())
        assert requests.seen == [f"PUT /pics/maps/{name}.heatmap.png" for name in ("2", "10", "sub/3")]
        assert s3.cat_file("pics/maps/2.heatmap.png") == places[0].encode()
        requests.seen.clear()
        listed = storage.listed("s3://pics/maps")
        assert len(requests.seen) == 1
        assert listed.keys() == set(places)
        assert storage.modified(places[0]) == listed[places[0]]
        assert abs(time.time() - listed[places[0]] / 1e9) < 600  # type: ignore[operator]
        storage.remove(places[0])
        storage.remove(places[0])
        assert storage.modified(places[0]) is None
        assert places[0] not in storage.listed("s3://pics/maps/")

    def test_one_object_for_one_picture(self) -> None:
        found = expand(["s3://pics/x/2.jpg"])
        plan = outputs.plan(found, "s3://pics/one.png", several=True)
        outputs.check(plan, found.items)
        assert plan.heatmap(found.items[0], 281) == "s3://pics/one.281.png"
        with pytest.raises(UsageError, match="3 inputs"):
            outputs.plan(expand(["s3://pics/x"]), "s3://pics/one.png")

    def test_outputs_that_cannot_be(self) -> None:
        found = expand(["s3://pics/x/2.jpg"])
        for output, message in (
            ("s3://none/maps/", "there is no bucket 'none'"),
            ("https://example.org/maps/", "the web is for reading"),
            ("nonsense://x/", "no kind of storage"),
        ):
            with pytest.raises(UsageError, match=message):
                outputs.check(outputs.plan(found, output), found.items)
        assert storage.listed("s3://none/maps") == {}
        with pytest.raises(OSError, match=r"bucket|none"):
            storage.write("s3://none/maps/x.png", b"")

    def test_a_larger_object_than_is_read(self) -> None:
        with pytest.raises(OSError, match="more than 2 bytes"):
            storage.read("s3://pics/x/2.jpg", limit=2)


def test_without_credentials(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(UsageError, match="no credentials for s3:// were found") as said:
        expand(["s3://pics/x/"])
    assert "\n" not in str(said.value)
    with pytest.raises(UsageError, match="cannot write to s3://pics/maps: no credentials"):
        remote.check_writable("s3://pics/maps")
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture
def memory() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    for name, content in FILES.items():
        files.pipe_file(f"/pics/{name}", content)
    yield files
    files.rm("/", recursive=True)


@pytest.mark.usefixtures("memory")
class TestAnyStorage:
    def test_everything_goes_through_fsspec(self) -> None:
        assert list(contents(expand(["memory://pics/x"]))) == ["2.jpg", "10.jpg", "sub/3.png"]
        assert contents(expand(["memory://pics/x/*.jpg"])) == {"2.jpg": b"two", "10.jpg": b"ten"}
        assert list(contents(expand(["memory://pics/shards/s-00?.tar"])))[-1] == "s-001/a/1.jpg"
        assert contents(expand(["memory://pics/z.zip"]))["z/z/big.jpg"] == BIG
        storage.write("memory://maps/a/x.png", b"x")
        assert list(storage.listed("memory://maps")) == ["memory://maps/a/x.png"]
        assert storage.read("memory://maps/a/x.png") == b"x"

    def test_names_that_lead_out(self, memory: Any) -> None:
        memory.pipe_file("/odd/a/../../b.jpg", b"?")
        found = expand(["memory://odd"], patterns=["*"])
        for item in found.items:
            assert ".." not in item.below

    def test_no_storage_answers_a_question_of_yesterday(self, memory: Any) -> None:
        assert len(expand(["memory://pics/x"]).items) == 3
        memory.pipe_file("/pics/x/4.jpg", b"four")
        assert len(expand(["memory://pics/x"]).items) == 4


def test_where_objects_grow_a_temporary_name_is_moved(tmp_path: Path) -> None:
    place = f"local://{tmp_path.as_posix()}/maps/x.png"
    for content in (b"one", b"two"):
        storage.write(place, content)
        assert storage.read(place) == content
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["x.png"]


class Pages(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; some paths have other answers. ``ranges`` says whether parts of files are served."""

    asked: list[str]
    ranges = True

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(super().do_HEAD)

    def do_GET(self) -> None:
        self.asked.append(f"{self.path} {self.headers.get('Range', '')}".strip())
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if wanted and self.ranges and path.is_file():
            content = path.read_bytes()
            part = content[int(wanted[1]) : int(wanted[2]) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {wanted[1]}-{wanted[2]}/{len(content)}")
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            self.wfile.write(part)
        else:
            self.answer(super().do_GET)

    def answer(self, usual: Any) -> None:
        if self.path.startswith("/private") and self.headers.get("Authorization") != "Basic dXNlcjpzZXNhbWU=":
            self.send_error(401)
        elif self.path.startswith("/broken"):
            self.send_error(500)
        elif self.path.startswith("/silent"):
            self.rfile.read(1)
        else:
            usual()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, type[Pages]]]:
    """The address of a web server with FILES, and its handler."""
    for name, content in {**FILES, "private/1.jpg": b"secret", "image": b"seven"}.items():
        file = tmp_path / "web" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    pages = type("Served", (Pages,), {"asked": []})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(pages, directory=str(tmp_path / "web"))
    )
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", pages
    server.shutdown()
    server.server_close()


class TestWeb:
    def test_a_picture_takes_one_request(self, web: tuple[str, type[Pages]]) -> None:
        address, pages = web
        found = expand([f"{address}/x/2.jpg"])
        assert contents(found) == {"2.jpg": b"two"}
        assert pages.asked == ["/x/2.jpg"]

    def test_credentials_and_signatures_are_not_shown(self, web: tuple[str, type[Pages]]) -> None:
        address, _ = web
        (item,) = expand([f"{address.replace('://', '://user:sesame@')}/private/1.jpg?X-Amz-Signature=abc#top"]).items
        assert item.name == f"{address}/private/1.jpg"
        assert item.below == "1.jpg"
        assert item.picture() == b"secret"
        (item,) = expand([f"{address.replace('://', '://user:wrong@')}/private/1.jpg?X-Amz-Signature=abc"]).items
        with pytest.raises(PictureError) as said:
            item.picture()
        assert str(said.value) == f"{address}/private/1.jpg: the server answers 401 Unauthorized"

    def test_what_stands_behind_a_question_mark_tells_pictures_apart(self, web: tuple[str, type[Pages]]) -> None:
        address, pages = web
        found = expand([f"{address}/image?id=1", f"{address}/image?id=2"])
        assert len({item.name for item in found.items}) == len(contents(found)) == 2
        assert not any("id=" in item.name + item.below for item in found.items)
        assert sorted(pages.asked) == ["/image?id=1", "/image?id=2"]

    def test_an_index_page_and_a_glob(self, web: tuple[str, type[Pages]]) -> None:
        address, _ = web
        assert list(contents(expand([f"{address}/x/"]))) == ["2.jpg", "10.jpg", "sub/3.png"]
        assert list(contents(expand([f"{address}/x/*.jpg"]))) == ["2.jpg", "10.jpg"]

    def test_archives_by_ranges(self, web: tuple[str, type[Pages]]) -> None:
        address, pages = web
        found = expand([f"{address}/shards/s-000.tar", f"{address}/z.zip"])
        assert len(contents(found)) == 5
        pages.asked.clear()
        assert found.items[1].picture() == BIG
        assert len(pages.asked) == 1
        pages.ranges = False
        (item,) = expand([f"{address}/z.zip?again"]).items
        with pytest.raises(PictureError, match="does not serve parts of files, which archives need; fetch it first"):
            item.picture()
        with pytest.raises(PictureError, match="does not serve parts of files"):
            found.items[2].picture()

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("missing.jpg", "there is none"),
            ("broken.jpg", "the server answers 500 Internal Server Error"),
            ("silent.jpg", "no answer in time"),
        ],
    )
    def test_failures_are_one_line(
        self, web: tuple[str, type[Pages]], path: str, message: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(remote, "PATIENCE", 0.5)
        (item,) = expand([f"{web[0]}/{path}?signature=abc"]).items
        with pytest.raises(PictureError) as said:
            item.picture()
        assert str(said.value) == f"{web[0]}/{path}: {message}"

    def test_nobody_is_there(self) -> None:
        (item,) = expand(["http://127.0.0.1:9/x.jpg"]).items
        with pytest.raises(PictureError, match=r"^http://127\.0\.0\.1:9/x\.jpg: .*failed"):
            item.picture()
        with pytest.raises(UsageError, match=r"^http://127\.0\.0\.1:9/x/: "):
            expand(["http://127.0.0.1:9/x/"])


@pytest.mark.parametrize(
    ("text", "is_url"),
    [
        *(("C:\\x.jpg", False), ("C:/x.jpg", False), ("a://b", False), ("photos/s3://x", False), ("http:/x", False)),
        *(("s3://b/x", True), ("simplecache::s3://b/x", True), ("memory://", True)),
    ],
)
def test_what_is_a_url(text: str, is_url: bool) -> None:
    assert storage.is_remote(text) is is_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pw@host/a.jpg?sig=1#x", "https://host/a.jpg"),
        ("https://token@host:81/a", "https://host:81/a"),
        ("sftp://me:pw@host/a?b", "sftp://host/a?b"),
        ("abfs://container@account.dfs/a", "abfs://container@account.dfs/a"),
        ("s3://bucket/a?b.jpg", "s3://bucket/a?b.jpg"),
        ("https://host/@me/a.jpg", "https://host/@me/a.jpg"),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    assert storage.shown(url) == shown


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(kind: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(
        UsageError, match=r"s3://b/x\.jpg: a package for s3:// is missing .*pip install 'heatcli\[cloud\]'"
    ):
        expand(["s3://b/x.jpg"])


def test_a_file_url_is_a_path(tmp_path: Path) -> None:
    file = tmp_path / "a cat.jpg"
    file.write_bytes(b"x")
    for text in (file.as_uri(), f"file://{file}", f"file://localhost{file.as_posix()}"):
        (item,) = expand([text]).items
        assert item.path == file
    assert outputs.plan(expand([str(file)]), tmp_path.as_uri()).folder == str(tmp_path)
