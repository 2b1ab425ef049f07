"""What a shell is offered after the tab key, asked in the way the shells ask."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from heatcli.methods import METHODS
from heatcli.pictures.presets import PRESETS
from heatcli.relevance.rules import NAMES


def offered(shell: str, *words: str, folder: str = ".") -> str:
    """Return what the completion of ``shell`` prints when the last of ``words`` is being typed."""
    line = " ".join(["heatcli", *words])
    environment = {
        **os.environ,
        "_HEATCLI_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words)),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    run = [sys.executable, "-m", "heatcli"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, env=environment, cwd=folder, check=False)
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_methods_in_every_shell(shell: str):
    out = offered(shell, "explain", "--method", "lrp")
    assert {name for name in METHODS if name in out} >= {name for name in METHODS if name.startswith("lrp")}
    assert "sensitivity" not in out


def test_a_method_behind_others_is_offered_once():
    out = offered("bash", "compare", "--methods", "gradient,lrp-epsilon,gradient")
    assert out.split() == ["gradient,lrp-epsilon,gradient-x-input"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_options_in_every_shell(shell: str):
    out = offered(shell, "explain", "--col")
    assert "--colormap" in out
    assert "--method" not in out


def test_presets():
    assert set(offered("bash", "explain", "--preprocess", "''").split()) >= {"auto", *PRESETS}


def test_rules_behind_a_pattern():
    from heatcli.cli.complete import rules

    assert set(rules("conv1=")) == {f"conv1={name}" for name in NAMES}
    assert set(rules("conv1=w")) == {"conv1=w2", "conv1=winner"}


def test_model_files(tmp_path):
    from heatcli.cli.complete import model_files

    (tmp_path / "net.onnx").touch()
    (tmp_path / "nets").mkdir()
    (tmp_path / "net.txt").touch()
    assert model_files(f"{tmp_path}/ne") == [f"{tmp_path}/net.onnx", f"{tmp_path}/nets/"]
