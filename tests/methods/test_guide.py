"""Every method has its page, which fits a terminal, and no page is about a method that is not there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from heatcli.cli import guide
from heatcli.methods import METHODS
from heatcli.methods.guide import GUIDES


def test_there_is_a_guide_to_every_method():
    assert set(METHODS) <= set(GUIDES)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_page_fits(width: int):
    lines = guide.page(width).splitlines()
    assert max(map(len, lines)) <= width
    for name in METHODS:
        assert any(line.startswith(f"{name}:") for line in lines)


def test_it_is_printed_without_a_model_or_a_picture():
    shown = subprocess.run(
        [sys.executable, "-m", "heatcli", "explain", "--help-methods"], capture_output=True, text=True, check=True
    )
    assert shown.stdout == guide.page(80) + "\n"
    assert not shown.stderr
