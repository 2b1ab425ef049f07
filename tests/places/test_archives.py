"""Members of real .tar and .zip files, those of friends and of strangers."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from heatcli.errors import PictureError, UsageError
from heatcli.places import archives, storage
from heatcli.places.items import Item
from heatcli.places.sources import Sources, expand

Files = dict[str, bytes]


def add(archive: tarfile.TarFile, name: str, content: bytes = b"", **facts: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for fact, value in facts.items():
        setattr(info, fact, value)
    archive.addfile(info, io.BytesIO(content))


def tar(path: Path, files: Files, form: int = tarfile.PAX_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as archive:
        for name, content in files.items():
            add(archive, name, content)
    return path


def zipped(path: Path, files: Files, packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def contents(found: Sources) -> dict[str, bytes]:
    read = {item.below: item.picture() for item in found.items if not item.problem}
    assert all(isinstance(content, bytes) for content in read.values())
    return read  # type: ignore[return-value]


def problems(found: Sources) -> list[str]:
    return [f"{item.name}: {item.problem}" for item in found.items if item.problem]


LONG = "/".join(["deep" * 10] * 5) + "/" + "x" * 120 + ".jpg"
PICTURES = {"a/1.jpg": b"one" * 400, "a/10.jpg": b"ten", "ä/2.PNG": b"two" * 1000, LONG: b"long", "./dot.gif": b""}
OTHERS = {"a/1.cls": b"7", "a/1.json": b"{}", "a/1.txt": b"cat", "a/1.npy": b"features", "a/.hidden.jpg": b"?"}


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_pictures_of_a_tar_as_they_lie_in_it(tmp_path: Path, form: int) -> None:
    place = tar(tmp_path / "shard-000.tar", {**PICTURES, **OTHERS}, form)
    found = expand([str(place)])
    assert contents(found) == {f"shard-000/{name.removeprefix('./')}": content for name, content in PICTURES.items()}
    assert found.items[0].name == f"{place}/a/1.jpg"
    assert found.items[0].place == str(place)
    assert found.folders == (str(place),)


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_pictures_of_a_zip(tmp_path: Path, packing: int) -> None:
    place = zipped(tmp_path / "photos.v2.zip", {**PICTURES, **OTHERS, "__MACOSX/a/._1.jpg": b"?", "a/": b""}, packing)
    found = expand([str(place)])
    assert contents(found) == {f"photos.v2/{name.removeprefix('./')}": content for name, content in PICTURES.items()}
    assert found.items[0].name == f"{place}/a/1.jpg"


def test_patterns_choose_among_members(tmp_path: Path) -> None:
    place = tar(tmp_path / "s.tar", {"1.input.jpg": b"1", "1.seg.png": b"2", "1.npy": b"3", "b/2.IMG": b"4"})
    assert contents(expand([str(place)], patterns=["*.npy, *.img"])) == {"s/1.npy": b"3", "s/b/2.IMG": b"4"}
    assert contents(expand([str(place)], patterns=["*.input.*", "b/*"])) == {"s/1.input.jpg": b"1", "s/b/2.IMG": b"4"}


def test_shards_never_collide_and_archives_inside_folders_are_left_alone(tmp_path: Path) -> None:
    for shard in ("a/0.tar", "a/1.tar", "b/1.tar"):
        tar(tmp_path / shard, {"cat.jpg": shard.encode()})
    found = expand([f"{tmp_path}/**/*.tar"])
    assert contents(found) == {"a/0/cat.jpg": b"a/0.tar", "a/1/cat.jpg": b"a/1.tar", "b/1/cat.jpg": b"b/1.tar"}
    assert list(contents(expand([f"{tmp_path}/a/?.tar"]))) == ["0/cat.jpg", "1/cat.jpg"]
    with pytest.raises(UsageError, match="no pictures there"):
        expand([str(tmp_path)])


def test_what_is_no_regular_file_is_left_out(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        add(archive, "link.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(archive, "hard.jpg", type=tarfile.LNKTYPE, linkname="1.jpg")
        add(archive, "pipe.jpg", type=tarfile.FIFOTYPE)
        add(archive, "device.jpg", type=tarfile.CHRTYPE)
        add(archive, "folder.jpg", type=tarfile.DIRTYPE)
        add(archive, "sparse.jpg", pax_headers={"GNU.sparse.size": "1000", "GNU.sparse.map": "0,1"}, content=b"x")
        add(archive, "1.jpg", b"one")
    assert contents(expand([str(tmp_path / "s.tar")])) == {"s/1.jpg": b"one"}
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("1.jpg", b"one")
    assert contents(expand([str(tmp_path / "z.zip")])) == {"z/1.jpg": b"one"}


HOSTILE = {
    "../../up.jpg": b"1",
    "/etc/abs.jpg": b"2",
    "C:\\win\\drive.jpg": b"3",
    "a//b\x07.jpg": b"4",
    "x" * 250 + ".jpg": b"5",
}


@pytest.mark.parametrize("make", [tar, zipped])
def test_names_that_lead_out_of_the_folder(tmp_path: Path, make: object) -> None:
    place = make(tmp_path / ("h.tar" if make is tar else "h.zip"), HOSTILE)  # type: ignore[operator]
    found = expand([str(place)])
    assert problems(found) == [f"{place}/../../up.jpg: its name leads out of the folder (..); rename it"]
    with pytest.raises(PictureError, match="leads out"):
        found.items[0].picture()
    read = contents(found)
    assert list(read.values()) == [b"2", b"3", b"4", b"5"]
    for below in read:
        assert Path(os.path.normpath(f"/out/{below}")).is_relative_to("/out/h")


@pytest.mark.parametrize("make", [tar, zipped])
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_name_that_is_there_twice(tmp_path: Path, make: object) -> None:
    place = tmp_path / ("twice.tar" if make is tar else "twice.zip")
    if make is tar:
        with tarfile.open(place, "w") as archive:
            add(archive, "1.jpg", b"first")
            add(archive, "1.jpg", b"later")
    else:
        with zipfile.ZipFile(place, "w") as packed:
            packed.writestr("1.jpg", b"first")
            packed.writestr("1.jpg", b"later")
    found = expand([str(place)])
    assert contents(found) == {"twice/1.jpg": b"first"}
    assert problems(found) == [f"{place}/1.jpg: is in the archive more than once; the first is taken"]


def test_a_tar_that_is_cut_off_gives_what_lies_before(tmp_path: Path) -> None:
    whole = tar(tmp_path / "whole.tar", {f"{n}.jpg": bytes([n]) * 2000 for n in range(5)}).read_bytes()
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole[: 3 * 2560 + 900])
    found = expand([str(cut)])
    assert sorted(contents(found)) == ["cut/0.jpg", "cut/1.jpg", "cut/2.jpg"]
    (said,) = problems(found)
    assert said == f"{cut}: the archive is cut off in the middle of 3.jpg; what lies before is taken"
    cut.write_bytes(whole[: 3 * 2560 - 20])  # in the padding of a member
    assert len(contents(expand([str(cut)]))) == 3


def test_a_broken_header_is_no_end(tmp_path: Path) -> None:
    place = tar(tmp_path / "s.tar", {f"{n}.jpg": b"x" * 600 for n in range(4)})
    content = bytearray(place.read_bytes())
    content[2 * 1536 + 20] ^= 0xFF
    place.write_bytes(content)
    found = expand([str(place)])
    assert len(contents(found)) == 2
    assert problems(found) == [f"{place}: the archive is broken from byte 3,072 on; what lies before is taken"]


@pytest.mark.parametrize("end", [0, 512, 1024])
def test_a_tar_may_end_without_its_zeros(tmp_path: Path, end: int) -> None:
    place = tar(tmp_path / "s.tar", {"1.jpg": b"x" * 600})
    place.write_bytes(place.read_bytes()[: 512 + 1024 + end])
    found = expand([str(place)])
    assert len(contents(found)) == 1
    assert not problems(found)


@pytest.mark.parametrize("name", ["s.tar.gz", "s.TGZ", "s.tar.xz", "s.tar.bz2", "s.tar.zst"])
def test_a_compressed_tar_says_what_to_do(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    (said,) = problems(expand([str(tmp_path / name)]))
    assert "no random access" in said
    assert "make it a .tar or a .zip" in said


def test_a_compressed_tar_under_another_name(tmp_path: Path) -> None:
    place = tar(tmp_path / "s.tar", {"1.jpg": b"x"})
    place.write_bytes(gzip.compress(place.read_bytes()))
    (said,) = problems(expand([str(place)]))
    assert "a compressed tar (gzip) has no random access" in said


@pytest.mark.parametrize("content", [b"", b"no archive at all" * 100, b"PK\5\6" + b"\xff" * 18, b"\0" * 100])
@pytest.mark.parametrize("name", ["x.tar", "x.zip"])
def test_what_is_no_archive_is_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    try:
        (said,) = problems(expand([str(tmp_path / name)]))
    except UsageError as error:
        said = str(error)
    assert name in said
    assert "\n" not in said
    assert "broken" in said or "no pictures" in said or "cut off" in said


def test_a_missing_archive_fails_and_the_rest_goes_on(tmp_path: Path) -> None:
    place = tar(tmp_path / "s.tar", {"1.jpg": b"x"})
    found = expand([str(place), str(tmp_path / "missing.zip")])
    assert len(contents(found)) == 1
    assert problems(found) == [f"{tmp_path}/missing.zip: no such file"]


def test_an_archive_without_pictures(tmp_path: Path) -> None:
    place = tar(tmp_path / "s.tar", {"1.txt": b"x", "1.npy": b"y"})
    with pytest.raises(UsageError, match=r"archive .*s\.tar: no pictures there; .*--pattern"):
        expand([str(place)])


def test_own_heatmaps_in_an_archive_are_left_out(tmp_path: Path) -> None:
    found = expand([str(tar(tmp_path / "s.tar", {"1.jpg": b"x", "1.heatmap.png": b"y"}))])
    assert (len(found.items), found.skipped) == (1, 1)


def test_a_member_that_is_no_more_where_it_was(tmp_path: Path) -> None:
    place = tar(tmp_path / "s.tar", {"1.jpg": b"x" * 600, "2.jpg": b"y" * 600})
    packed = zipped(tmp_path / "z.zip", {"1.jpg": b"x" * 600, "2.jpg": b"y" * 600})
    found = expand([str(place), str(packed)])
    tar(place, {"1.jpg": b"x" * 5000, "2.jpg": b"y" * 600})
    zipped(packed, {"other.jpg": b"x" * 600, "2.jpg": b"y" * 500})
    for item in (found.items[1], *found.items[2:]):
        with pytest.raises(PictureError, match="has changed since"):
            item.picture()


def test_encrypted_members_fail_one_by_one(tmp_path: Path) -> None:
    place = zipped(tmp_path / "z.zip", {"1.jpg": b"x" * 100, "2.jpg": b"y" * 100}, zipfile.ZIP_STORED)
    content = bytearray(place.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    place.write_bytes(content)
    found = expand([str(place)])
    assert problems(found) == [f"{place}/1.jpg: is encrypted; unpack it with its password first"]
    assert contents(found) == {"z/2.jpg": b"y" * 100}


def declared(place: Path, size: int) -> None:
    """Write another unpacked size of the only member into the directory."""
    content = bytearray(place.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\1\2") + 24, size)
    place.write_bytes(content)


def test_a_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    place = zipped(tmp_path / "bomb.zip", {"1.jpg": bytes(10_000)})
    declared(place, 3 << 30)
    (said,) = problems(expand([str(place)]))
    assert "3,221,225,472 bytes are more than a picture can have" in said


def test_a_bomb_that_lies_is_unpacked_no_further_than_it_says(tmp_path: Path) -> None:
    place = zipped(tmp_path / "bomb.zip", {"1.jpg": bytes(50_000_000)})
    declared(place, 1000)
    (item,) = expand([str(place)]).items
    with pytest.raises(PictureError, match="broken zip member"):
        item.picture()


def test_a_tar_member_larger_than_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MOST_BYTES", 1000)
    found = expand([str(tar(tmp_path / "s.tar", {"1.jpg": bytes(1001), "2.jpg": bytes(1000)}))])
    assert len(contents(found)) == 1
    assert len(problems(found)) == 1


def sized(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return a header of a tar with any size, negative ones included."""
    info = tarfile.TarInfo(name)
    info.type = kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT)[:512])
    block[124:136] = (0xFF if size < 0 else 0x80).to_bytes(1, "big") + (size % (1 << 88)).to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "block",
    [
        sized("2.jpg", -512),  # the next header would be the same again
        sized("2.jpg", -1024),
        sized("2.jpg", -(1 << 40)),
        sized("x", 30 << 30, tarfile.XHDTYPE),  # would be read at once
        sized("x", 30 << 30, tarfile.GNUTYPE_LONGNAME),
        sized("x", 200_000, tarfile.XHDTYPE) + b"1" * 200_192,  # takes tarfile minutes
        sized("x", 25, tarfile.XHDTYPE) + b"25 GNU.sparse.size=-1000\n".ljust(512, b"\0"),
    ],
    ids=["itself", "earlier", "far", "times", "name", "digits", "sparse"],
)
def test_headers_that_lead_back_or_are_endless_end_the_archive(tmp_path: Path, block: bytes) -> None:
    place = tar(tmp_path / "s.tar", {"1.jpg": b"one"}, tarfile.GNU_FORMAT)
    with place.open("r+b") as stream:
        stream.truncate(1024)
        stream.seek(1024)
        stream.write(block)
        stream.truncate(1024 + (31 << 30))  # zeros that take no place
    found = expand([str(place)])
    assert list(contents(found).values()) == [b"one"]
    (said,) = problems(found)
    assert str(place) in said
    assert "MemoryError" not in said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["s.tar", "s.zip"])
def test_an_archive_that_is_a_pipe(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    (said,) = problems(expand([str(tmp_path / name)]))
    assert "is a pipe or a device" in said


def test_packed_in_a_way_that_is_not_read(tmp_path: Path) -> None:
    place = zipped(tmp_path / "z.zip", {"1.jpg": b"x" * 100}, zipfile.ZIP_STORED)
    content = bytearray(place.read_bytes())
    for mark, offset in ((b"PK\1\2", 10), (b"PK\3\4", 8)):
        struct.pack_into("<H", content, content.index(mark) + offset, 9)  # deflate64
    place.write_bytes(content)
    (item,) = expand([str(place)]).items
    with pytest.raises(PictureError, match="packed in a way that is not read"):
        item.picture()


def test_many_threads_read_many_zips(tmp_path: Path) -> None:
    for number in range(archives.MOST_OPEN + 4):
        zipped(tmp_path / f"{number}.zip", {f"{n}.jpg": f"{number} {n}".encode() * 500 for n in range(20)})
    found = expand([f"{tmp_path}/*.zip"])
    start = threading.Barrier(8)

    def read(items: list[Item]) -> list[tuple[str, bytes]]:
        start.wait()
        return [(item.below, item.picture()) for item in items]  # type: ignore[misc]

    with ThreadPoolExecutor(8) as executor:
        parts = executor.map(read, [list(found.items[n::8]) for n in range(8)])
    read_of = dict(entry for part in parts for entry in part)
    assert len(read_of) == 20 * (archives.MOST_OPEN + 4)
    for below, content in read_of.items():
        number, name = below.split("/")
        assert content == f"{number} {name.removesuffix('.jpg')}".encode() * 500
    assert len(archives._zips.kept) <= archives.MOST_OPEN


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_opens_its_own(tmp_path: Path) -> None:
    place = zipped(tmp_path / "z.zip", {"1.jpg": b"x" * 100})
    (item,) = expand([str(place)]).items
    item.picture()
    before = archives._zips
    child = os.fork()
    if not child:
        os._exit(0 if archives._zips is not before and item.picture() == b"x" * 100 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
