"""The comparison of engines runs through on a tiny network; how long anything takes is not looked at."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra peers)")
pytest.importorskip("captum", reason="captum is not installed (extra peers)")

from tests.peers import zennit_maps  # noqa: E402

zennit_maps.make_importable()
pytest.importorskip("zennit", reason="zennit is not installed (extra peers)")

import heatcli  # noqa: E402
from tests.benchmarks import contestants, engines  # noqa: E402

TINY = ["--nets", "tiny", "--rounds", "1", "--threads", "1"]


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch):
    """Leave the number of threads as it was."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_every_contestant_is_checked_and_timed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    figures_at = tmp_path / "figures.json"

    assert engines.main([*TINY, "--pictures", "4", "--batch", "2", "--targets", "3", "--json", str(figures_at)]) == 0

    figures = json.loads(figures_at.read_text())
    assert [(case["pictures"], case["batch"]) for case in figures["cases"]] == [(4, 2)]
    for case in figures["cases"]:
        found = {entry["name"]: entry for entry in case["contestants"]}
        assert list(found) == list(engines.CONTESTANTS)
        for name in ("onnxruntime", "torch", "zennit", "captum", "numpy"):
            assert found[name]["refused"] is None
            assert len(found[name]["seconds"]) == 1
            assert found[name]["peak_mb"] > 10
        assert found["onnxruntime"]["ratio"] == 1
        assert 0 < found["numpy"]["off"] <= engines.TOLERANCE
        assert found["numpy"]["median_inner"] < found["numpy"]["median"]
    assert 0 < figures["targets"][0]["engines"][0]["off"] <= engines.TOLERANCE
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "heatcli, numpy" in printed


def test_a_transformer_is_explained_as_by_zennit(tmp_path: Path):
    """Attention, normalisation and residual sums under zennit's walk, in both engines."""
    figures_at = tmp_path / "figures.json"
    options = ["--nets", "tiny_transformer", "--rounds", "1", "--threads", "1", "--pictures", "1"]
    assert engines.main([*options, "--json", str(figures_at)]) == 0
    (case,) = json.loads(figures_at.read_text())["cases"]
    found = {entry["name"]: entry for entry in case["contestants"]}
    for name in ("numpy", "compiled"):
        assert found[name]["refused"] is None
        assert 0 < found[name]["off"] <= 1e-5


def test_a_wrong_map_is_not_timed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    title, opener = engines.CONTESTANTS["numpy"]

    def wrong(case: contestants.Case) -> contestants.Run:
        run = opener(case)
        return lambda: contestants.Done(run().values * 1.01)

    monkeypatch.setitem(engines.CONTESTANTS, "numpy", (title, wrong))
    monkeypatch.setattr(engines, "peak_alone", lambda case, name: None)

    assert engines.main([*TINY, "--pictures", "1"]) == 1
    assert "— heatcli, numpy: its result is off by 0.01, hence not timed" in capsys.readouterr().out


def test_an_engine_is_asked_for_by_name_and_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    case = contestants.Case("tiny", tmp_path, 1, 1, 1)

    monkeypatch.setattr(heatcli, "load", lambda model, *, threads=None, engine="numpy": engine)
    assert [contestants.opened(case, engine) for engine in contestants.ENGINES] == ["numpy", "compiled"]

    monkeypatch.setattr(heatcli, "load", lambda model, *, threads=None: "the only one")
    assert contestants.opened(case, "numpy") == "the only one"
    with pytest.raises(contestants.Refused, match="no choice of engine"):
        contestants.opened(case, "compiled")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--nets", "alexnet"], "unknown network alexnet"),
        (["--rounds", "0"], "must be 1 or more"),
        (["--pictures", "5", "--batch", "2"], "cannot be cut into batches of 2"),
        (["--pictures", "0"], "--pictures"),
    ],
)
def test_what_cannot_be_measured_is_said(given: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        engines.arguments(given)
    assert said in capsys.readouterr().err
