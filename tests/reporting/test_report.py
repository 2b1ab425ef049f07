"""The whole way: records in, page and tables out, all of it or nothing."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
import shutil
from html import unescape
from pathlib import Path

import PIL.Image
import pytest

from heatcli.errors import UsageError
from heatcli.reporting import write_report
from tests.reporting import made


def summary(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_page_and_a_table(tmp_path: Path):
    records = made.run(tmp_path, 3)
    written = write_report(records, tmp_path / "maps/report.html")
    assert (written.records, written.held, written.failed, written.missing, written.left_out) == (3, 3, 0, 0, 0)
    assert written.tables == (tmp_path / "maps/summary.csv",)
    assert [line["input"] for line in summary(written.tables[0])] == [f"photos/p{number}.png" for number in range(3)]
    shown = made.rows(written.page)
    assert [entry["name"] for entry in shown] == [f"photos/p{number}.png" for number in range(3)]
    assert [entry["heatmapLink"] for entry in shown] == [f"./p{number}.heatmap.png" for number in range(3)]
    assert [entry["pictureLink"] for entry in shown] == [f"../photos/p{number}.png" for number in range(3)]
    known = made.data(written.page)
    assert known["model"] == {"name": "net.onnx", "sha256": "0123456789ab", "producer": "pytorch 2"}
    assert known["totals"]["seconds"] == pytest.approx(1.0)
    assert sorted(path.name for path in (tmp_path / "maps").iterdir() if "heatmap" not in path.name) == [
        *("records.jsonl", "report.html", "summary.csv"),
    ]


def test_the_images_are_those_of_the_records(tmp_path: Path):
    records = made.run(tmp_path, 3)
    page = write_report(records, tmp_path / "maps/report.html").page
    images = made.images(page)
    for number, entry in enumerate(made.rows(page)):
        for kind, file in (("picture", f"photos/p{number}.png"), ("heatmap", f"maps/p{number}.heatmap.png")):
            width, height, encoded = images[entry[kind]]
            assert (width, height) == (48, 32)
            small = PIL.Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
            pairs = zip(small.getpixel((9, 9)), PIL.Image.open(tmp_path / file).getpixel((9, 9)), strict=True)
            assert max(abs(one - other) for one, other in pairs) <= 6


def test_several_targets_of_a_picture_share_it(tmp_path: Path):
    made.run(tmp_path, 1)
    made.picture(tmp_path / "maps/p0.3.heatmap.png")
    entries = [
        made.record("photos/p0.png", f"maps/p0{end}.heatmap.png", target) for end, target in (("", 2), (".3", 3))
    ]
    page = write_report(made.write(tmp_path / "maps/records.jsonl", entries), tmp_path / "maps/report.html").page
    one, other = made.rows(page)
    assert one["picture"] == other["picture"]
    assert one["heatmap"] != other["heatmap"]
    assert made.data(page)["totals"]["inputs"] == 1
    assert {one["fragment"], other["fragment"]} == {"photos/p0.png@2", "photos/p0.png@3"}


def test_beyond_the_most_the_table_has_all(tmp_path: Path):
    records = made.run(tmp_path, 5)
    written = write_report(records, tmp_path / "maps/report.html", most=2)
    assert (written.records, written.held) == (5, 2)
    assert len(made.rows(written.page)) == 2
    assert len(made.images(written.page)) == 4
    assert made.data(written.page)["totals"]["records"] == 5
    assert len(summary(written.tables[0])) == 5


def test_missing_files_are_shown_as_missing(tmp_path: Path):
    records = made.run(tmp_path, 2)
    (tmp_path / "photos/p0.png").unlink()
    (tmp_path / "maps/p1.heatmap.png").unlink()
    written = write_report(records, tmp_path / "maps/report.html")
    assert written.missing == 2
    assert written.examples == ("photos/p0.png: no such file", "maps/p1.heatmap.png: no such file")
    one, other = made.rows(written.page)
    images = made.images(written.page)
    assert (images[one["picture"]], images[other["heatmap"]]) == ("no such file", "no such file")
    assert (one["pictureLink"], other["heatmapLink"]) == (None, None)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_members_of_archives_are_found(tmp_path: Path, kind: str):
    made.run(tmp_path, 2)
    shutil.make_archive(str(tmp_path / "all"), kind, tmp_path, "photos")
    names = [f"all.{kind}/photos/p0.png", f"all.{kind}/photos/none.png", f"none.{kind}/photos/p0.png"]
    entries = [made.record(name, f"maps/p{number}.heatmap.png") for number, name in enumerate(names)]
    page = write_report(made.write(tmp_path / "maps/records.jsonl", entries), tmp_path / "maps/report.html").page
    images = [made.images(page)[entry["picture"]] for entry in made.rows(page)]
    assert images[0][:2] == [48, 32]
    assert images[1:] == ["no such file", "no such file"]


def test_images_that_are_no_files_are_opened_by_the_callers_hooks(tmp_path: Path):
    records = made.run(tmp_path, 2)
    content = made.picture(tmp_path / "other.png", (30, 60)).read_bytes()
    asked = []

    def open_input(record):
        asked.append(record["input"])
        if record["input"] == "photos/p1.png":
            raise RuntimeError("the archive is gone\x1b")
        return content

    page = write_report(records, tmp_path / "maps/report.html", open_input=open_input).page
    images = made.images(page)
    one, other = made.rows(page)
    assert images[one["picture"]][:2] == [30, 60]
    assert images[other["picture"]] == "the archive is gone\\x1b"
    assert sorted(asked) == ["photos/p0.png", "photos/p1.png"]


def test_failures_keep_their_message_and_settings_of_the_others_stay_alike(tmp_path: Path):
    records = made.run(tmp_path, 1)
    entries = [
        made.record("photos/p0.png", "maps/p0.heatmap.png"),
        made.failure("photos/b.png", "broken <b>"),
        {"schema": 2},
    ]
    entries[1]["settings"] = {"pool": None}
    written = write_report(made.write(records, entries), tmp_path / "maps/report.html")
    known = made.data(written.page)
    assert (written.failed, written.missing, written.left_out) == (1, 0, 1)
    failure = made.rows(written.page)[1]["failure"]
    assert [known["words"][number] for number in failure] == ["PictureError", "broken <b>"]
    assert known["differing"] == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no records"),
        (b'{"schema": 7, "input": "a"}\n', "schema 7"),
        (b"GIF89a\n", "no line of it is a record"),
        (None, "no such file"),
    ],
)
def test_what_holds_no_records_is_an_error_and_writes_nothing(tmp_path: Path, content: bytes | None, said: str):
    records = tmp_path / "records.jsonl"
    if content is not None:
        records.write_bytes(content)
    before = set(tmp_path.iterdir())
    with pytest.raises(UsageError, match=said):
        write_report(records, tmp_path / "report.html")
    assert set(tmp_path.iterdir()) == before


def test_an_interrupted_report_leaves_the_old_one(tmp_path: Path):
    records = made.run(tmp_path, 2)
    page = tmp_path / "maps/report.html"
    page.write_text("old", "utf-8")
    before = set(page.parent.iterdir())

    def open_input(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_report(records, page, open_input=open_input)
    assert page.read_text("utf-8") == "old"
    assert set(page.parent.iterdir()) == before


def test_a_disk_that_is_full_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    records = made.run(tmp_path, 1)

    def full(stream, data, images):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("heatcli.reporting.report.write_page", full)
    with pytest.raises(UsageError, match=r"cannot write .*report\.html: No space left on device"):
        write_report(records, tmp_path / "maps/report.html")
    assert not (tmp_path / "maps/report.html").exists()
    assert not (tmp_path / "maps/summary.csv").exists()


def test_the_table_of_a_page_of_another_name_has_that_name(tmp_path: Path):
    written = write_report(made.run(tmp_path, 1), tmp_path / "out/today.html")
    assert written.tables == (tmp_path / "out/today.csv",)
    assert made.rows(written.page)[0]["heatmapLink"] == "../maps/p0.heatmap.png"


def test_parquet_needs_pyarrow_and_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(UsageError, match=r"pip install pyarrow"):
        write_report(made.run(tmp_path, 1), tmp_path / "maps/report.html", parquet=True)


def test_the_policy_allows_this_script_this_style_and_nothing_else(tmp_path: Path):
    text = write_report(made.run(tmp_path, 1), tmp_path / "report.html").page.read_text("utf-8")
    policy = unescape(re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1])
    assert policy.startswith("default-src 'none'; img-src data: 'self'; ")
    for kind, element in (("style", "style"), ("script", "script")):
        (inline,) = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not re.search(r"(?:https?:)?//[a-z]", re.sub(r"<script type=.*?</script>", "", text, flags=re.DOTALL))


def test_names_and_labels_are_no_markup_in_the_file_itself(tmp_path: Path):
    evil = "</script><script>window.pwned=1</script><!--\u2028\"'&" + os.fsdecode(b"\xff")
    entry = made.record(
        f"photos/{evil}", f"maps/{evil}", warnings=[evil], method=evil, model={"path": evil, "producer": evil}
    )
    entry["target"]["label"] = entry["top"][0]["label"] = evil
    entry["settings"][evil] = evil
    failed = made.failure(evil, evil, evil)
    page = write_report(made.write(tmp_path / "records.jsonl", [entry, failed]), tmp_path / "report.html").page
    text = page.read_text("utf-8")
    assert "<script>window" not in text
    assert text.count("</script>") == 3  # the data, the script, the images
    assert made.rows(page)[0]["name"] == "photos/" + evil.replace("\u2028", "\\u2028").replace("\udcff", "\\xff")
