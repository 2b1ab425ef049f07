"""What every test may ask for: the test data, the light models with random weights, one profile for hypothesis."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import hypothesis
import onnx
import pytest

from tests import light_models

hypothesis.settings.register_profile("steady", deadline=None, derandomize=True, database=None)
hypothesis.settings.register_profile("search", deadline=None, max_examples=1000, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

for number in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
    if signal.getsignal(number) == signal.SIG_IGN:  # by `nohup` or `&` in a script: what is tested must hear them
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

ROOT = Path(__file__).resolve().parent.parent


def data_folder() -> Path | None:
    """Return ``$HEATCLI_DATA`` or ``../shared/data`` beside the project, None where it is absent or empty."""
    folder = Path(os.environ.get("HEATCLI_DATA") or ROOT.parent / "shared" / "data")
    return folder if folder.is_dir() and any(folder.iterdir()) else None


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of trained models, photographs and references; the test is skipped where there is none."""
    folder = data_folder()
    if folder is None:
        pytest.skip("no test data: set HEATCLI_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def light_models_by_name() -> Iterator[Callable[[str], Path]]:
    """A function from a name of ``light_models.NAMES`` to a file with random weights, written once a session."""
    with tempfile.TemporaryDirectory(prefix="heatcli-light-") as folder:

        @cache
        def written(name: str) -> Path:
            path = Path(folder) / f"{name}.onnx"
            onnx.save(light_models.with_random_weights(light_models.FOLDER / f"light_{name}.onnx"), path)
            return path

        yield written


@pytest.fixture(scope="session", params=light_models.NAMES)
def light_model(request: pytest.FixtureRequest, light_models_by_name: Callable[[str], Path]) -> Path:
    """Each of the nine light models in turn, as a file with random weights."""
    return light_models_by_name(request.param)
