"""What strangers named is text that can be seen, wherever it is shown."""

from __future__ import annotations

import json
import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatcli.visible import escaped, visible


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ca\u200dt", "ca\\u200dt"),
        ("\u200d\u732b", "\\u200d\u732b"),
        ("name\U000e0067\U000e0062", "name\\U000e0067\\U000e0062"),
        ("a\u3164b\u034fc\ufff0", "a\\u3164b\\u034fc\\ufff0"),
        ("soft\u00adhyphen", "soft\\xadhyphen"),
    ],
)
def test_joiners_and_tags_where_they_join_nothing(text: str, expected: str):
    assert visible(text) == expected


@given(st.text(st.characters(), max_size=30))
def test_what_was_made_visible_stays(text: str):
    assert visible(visible(text)) == visible(text)


def test_lines_of_own_messages_are_kept():
    assert visible("one\n\x1b[1mtwo\r\n", keep_lines=True) == "one\n\\x1b[1mtwo\\r\n"


@given(st.recursive(st.text(st.characters()), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_escaped_json_says_the_same(value: object):
    text = escaped(json.dumps(value, ensure_ascii=False, indent=1))
    text.encode("utf-8")
    assert json.loads(text) == value
    assert not any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in text.replace("\n", ""))
    assert visible(text, keep_lines=True) == text
