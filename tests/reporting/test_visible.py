"""What strangers named is text that can be seen, in any place of the page."""

from __future__ import annotations

import json
import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatcli.reporting.visible import script_json, visible


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain name.png", "plain name.png"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("a\u2028b\u2066", "a\\u2028b\\u2066"),
        (os.fsdecode(b"caf\xe9.png"), "caf\\xe9.png"),
        ("\ud800", "\\ud800"),
        ("żółw 亀 🐢", "żółw 亀 🐢"),
        ("👩‍🔬 नमस्‍ते", "👩‍🔬 नमस्‍ते"),
        ("🏴\U000e0067\U000e0062\U000e007f", "🏴\U000e0067\U000e0062\U000e007f"),
        ("\ufeff\u200b", "\\ufeff\\u200b"),
    ],
)
def test_signs_that_cannot_be_seen_are_spelled_out(text: str, expected: str):
    assert visible(text) == expected


@given(st.text(st.characters(), max_size=30))
def test_nothing_unseen_is_left_and_all_of_it_is_utf8(text: str):
    shown = visible(text)
    shown.encode("utf-8")
    assert not any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in shown)


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5))
def test_json_in_a_script_element_is_the_value_and_no_markup(value: object):
    text = script_json(value)
    assert json.loads(text) == value
    assert not set("<>&\u2028\u2029") & set(text)
