"""The cache of models: for its owner alone, and nothing that was planted in it is used or followed."""

from __future__ import annotations

import os
import stat

import pytest

from heatcli.errors import HeatcliError
from heatcli.known import download
from heatcli.known.cache import path_of
from tests.known.answers import (
    CONTENT,
    KNOWN,
    broken,
    fetched,
    leave,
    missing,
    part,
    posix,
    refused,
    whole,
)


@posix
class TestTheCache:
    def test_is_for_its_owner_alone(self, serve, tmp_path):
        serve(broken, missing)
        before = os.umask(0)
        try:
            refused("404")
            modes = [stat.S_IMODE(path.stat().st_mode) for path in (part(), part().parent, tmp_path / "home")]
        finally:
            os.umask(before)
        assert modes == [0o600, 0o700, 0o700]

    @pytest.mark.parametrize(("folder", "file"), [(0o700, 0o600), (0o755, 0o644), (0o750, 0o640)])
    def test_files_are_for_those_who_may_read_the_folder(self, serve, folder, file):
        part().parent.chmod(folder)
        serve(whole)
        assert stat.S_IMODE(download.pull(KNOWN).stat().st_mode) == file

    def test_where_everybody_may_write(self, serve):
        part().parent.chmod(0o777)
        server = serve(whole)
        refused("everybody on this computer may write into this cache; chmod o-w")
        assert not server.asked

    def test_that_cannot_be_made(self, serve, monkeypatch, tmp_path):
        (tmp_path / "file").write_bytes(b"")
        monkeypatch.setenv("HEATCLI_HOME", str(tmp_path / "file"))
        serve(whole)
        assert "\n" not in refused("the cache cannot be made .*HEATCLI_HOME names another folder")

    def test_a_link_in_place_of_the_model_is_replaced_and_not_followed(self, serve, tmp_path):
        victim = tmp_path / "victim"
        victim.write_bytes(b"precious")
        part().parent.joinpath("net-1.onnx").symlink_to(victim)
        serve(whole)
        download.pull(KNOWN)
        assert fetched()
        assert victim.read_bytes() == b"precious"
        assert not path_of(KNOWN).is_symlink()

    @pytest.mark.parametrize("kind", ["link", "dangling", "hard", "folder", "pipe", "open to all"])
    def test_what_was_planted_in_place_of_a_beginning(self, serve, tmp_path, kind):
        victim = tmp_path / "victim"
        victim.write_bytes(CONTENT[:1000])
        if kind == "link":
            part().symlink_to(victim)
        elif kind == "dangling":
            part().symlink_to(tmp_path / "made by us")
        elif kind == "hard":
            part().hardlink_to(victim)
        elif kind == "folder":
            part().mkdir()
        elif kind == "pipe":
            os.mkfifo(part())
        else:
            leave(CONTENT[:1000], mode=0o666)
        server = serve(whole)
        download.pull(KNOWN)
        assert fetched()
        assert server.asked == [("/zoo/deep/net-1.onnx", None)]  # nothing of it was gone on with
        assert victim.read_bytes() == CONTENT[:1000]
        assert not (tmp_path / "made by us").exists()

    def test_a_folder_in_place_of_the_model(self, serve):
        path_of(KNOWN).mkdir(parents=True)
        serve(whole)
        refused("net-1.onnx: cannot be put in place")

    def test_a_full_disk_ends_it_at_once(self, serve, monkeypatch):
        server = serve(whole)

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        assert "\n" not in refused("cannot be written .No space left on device.")
        assert len(server.asked) == 1

    def test_a_file_that_was_changed_is_fetched_again(self, serve):
        part()
        path_of(KNOWN).write_bytes(bytes(len(CONTENT)))
        with pytest.raises(HeatcliError, match=r"is not the file of net-1 any more.*--offline"):
            download.pull(KNOWN, offline=True)
        serve(whole)
        download.pull(KNOWN)
        assert fetched()
