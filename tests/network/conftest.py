"""What tests of models from strangers may ask for."""

from __future__ import annotations

import pytest

from heatcli import runtime


@pytest.fixture
def unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test fails where onnxruntime gets to see the model."""
    monkeypatch.setattr(runtime, "open_session", lambda *_, **__: pytest.fail("onnxruntime was asked"))
