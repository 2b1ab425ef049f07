"""What strangers named is text in the page's own data, too."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from heatcli.reporting.page import script_json


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5))
def test_json_in_a_script_element_is_the_value_and_no_markup(value: object):
    text = script_json(value)
    assert json.loads(text) == value
    assert not set("<>&\u2028\u2029") & set(text)
