"""Fitting as a whole: layers from the top, a checkpoint after each, the same end after an interruption; refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import heatcli
from heatcli.errors import UnsupportedModel, UsageError
from heatcli.fitting import fitter as fitter_module
from heatcli.fitting.fitter import Budget, Collecting, Fitted, Training
from heatcli.fitting.job import Job
from heatcli.fitting.pictures import Pictures, stacked
from heatcli.relevance import stored
from tests import whole

SMALL = Budget(memory=1 << 20, epochs=8)


def write(path: Path, *, rectifier="Relu") -> Path:
    """A network for 1×10×12 pictures: two convolutions with a pool between, a dense layer, class scores."""
    nodes = [
        whole.node("Conv", "x w1 b1", "one", pads=[1, 1, 1, 1]),
        whole.node(rectifier, "one", "r1"),
        whole.node("MaxPool", "r1", "p1", kernel_shape=[2, 2], strides=[2, 2]),
        whole.node("Conv", "p1 w2", "two"),
        whole.node(rectifier, "two", "r2"),
        whole.node("Flatten", "r2", "flat"),
        whole.node("Gemm", "flat w3", "three"),
        whole.node(rectifier, "three", "r3"),
        whole.node("Gemm", "r3 w4", "y"),
    ]
    constants = {"w1": whole.f(6, 1, 3, 3), "b1": np.full(6, -0.05, "float32"), "w2": whole.f(8, 6, 2, 2)}
    constants |= {"w3": whole.f(8 * 4 * 5, 16), "w4": whole.f(16, 4)}
    return whole.save(path, nodes, [whole.End("x", [1, 1, 10, 12])], [whole.End("y", [1, 4])], constants)


def inputs(count=60, seed=0):
    """Return pictures with bright bars, as network inputs (N, 1, 10, 12)."""
    random = np.random.default_rng(seed)
    x = random.uniform(0, 0.2, (count, 1, 10, 12))
    for picture, row in zip(x, random.integers(0, 8, count), strict=True):
        picture[0, row : row + 2, 2:10] += 0.8
    return x.astype("float32")


@pytest.fixture
def explainer(tmp_path):
    return heatcli.load(write(tmp_path / "net.onnx"), preprocess="unit", range=(0, 1), threads=1)


def arrays(path):
    with np.load(path) as held:
        return {name: held[name] for name in held.files if name != "description"}


def test_layers_from_the_top_and_a_file_beside_the_model(explainer, tmp_path):
    job = Job(explainer, [inputs()], budget=SMALL)
    events = list(job.run())
    assert [event.detection.layer.name for event in events if isinstance(event, Fitted)] == ["three", "two", "one"]
    done = [event for event in events if isinstance(event, Collecting)]
    assert [(event.done, event.pictures) for event in done[:60]] == [(count, 60) for count in range(1, 61)]
    begun = {
        event.detection.layer.name: event.fit.error
        for event in events
        if isinstance(event, Training) and not event.epoch
    }
    assert job.output == tmp_path / "net.relevance.npz"
    assert not job.checkpoint.exists()
    held = stored.read(job.output, explainer.network, explainer.model.sha256)
    assert set(held.models) == {"one", "two", "three"}
    for entry in held.description["layers"]:
        assert entry["error"] <= begun[entry["name"]] * 1.05
        assert entry["error"] < 0.35
        assert 0.8 < entry["ratio"] < 1.2
    uppers = {entry["name"]: entry["uppers"] for entry in held.description["layers"]}
    assert uppers == {"one": ["two (4×4/2)"], "two": ["three (all)"], "three": ["y"]}


def test_explanations_go_by_the_models(explainer):
    job = Job(explainer, [inputs()], budget=SMALL)
    list(job.run())
    totals = []
    for x in inputs(8, seed=5):
        found = explainer.explain(x, method="deep-taylor-minmax", layers=True)
        ledger = found.ledger
        assert found.relevance.min() >= 0
        assert abs(ledger.error) < 1e-5
        assert ledger.lost == pytest.approx(ledger.start - found.relevance.sum(), abs=1e-3 * ledger.start)
        assert [row.lost != 0 for row in ledger.layers if row.name in ("one", "two", "three")] == [True] * 3
        totals.append(found.relevance.sum() / ledger.start)
        assert found.settings["relevance_model"]["file"] == str(job.output)
        double = heatcli.load(explainer.model.path, preprocess="unit", range=(0, 1), precision="float64")
        exact = double.explain(x, method="deep-taylor-minmax")
        assert abs(exact.ledger.error) < 1e-9
        np.testing.assert_allclose(exact.relevance, found.relevance, atol=1e-4 * exact.relevance.max())
    assert 0.7 < np.mean(totals) < 1.3


def test_the_compiled_engine_agrees(explainer, tmp_path):
    list(Job(explainer, [inputs()], budget=SMALL).run())
    compiled = heatcli.load(explainer.model.path, preprocess="unit", range=(0, 1), engine="compiled")
    for x in inputs(3, seed=5):
        both = [
            engine.explain_targets(x, targets=("top-3",), method="deep-taylor-minmax")
            for engine in (explainer, compiled)
        ]
        for one, other in zip(*both, strict=True):
            np.testing.assert_allclose(other.relevance, one.relevance, atol=1e-5 * max(1e-9, one.relevance.max()))
            assert other.ledger.lost == pytest.approx(one.ledger.lost, abs=1e-4 * one.ledger.start)
    written = explainer.compile(tmp_path / "explainer.onnx", method="deep-taylor-minmax")
    assert written.difference < 1e-4


def interrupted(job, at):
    """Run ``job`` until layer ``at`` has been collected for, and interrupt it there."""
    events = job.run()
    for event in events:
        if isinstance(event, Training) and event.detection.layer.name == at:
            events.close()
            return


@pytest.mark.parametrize("at", ["two", "one"])
def test_it_goes_on_where_it_was_interrupted(explainer, tmp_path, at):
    straight = tmp_path / "straight.npz"
    list(Job(explainer, [inputs()], output=straight, budget=SMALL).run())
    output = tmp_path / "again.npz"
    interrupted(Job(explainer, [inputs()], output=output, budget=SMALL), at)
    assert not output.exists()
    job = Job(explainer, [inputs()], output=output, budget=SMALL)
    assert job.checkpoint == tmp_path / "again.part.npz"
    assert job.checkpoint.exists()
    assert job.resumed == {"two": 1, "one": 2}[at]
    begun = [event.detection.layer.name for event in job.run() if isinstance(event, Fitted)]
    assert begun == {"two": ["two", "one"], "one": ["one"]}[at]
    for name, value in arrays(straight).items():
        np.testing.assert_array_equal(value, arrays(output)[name])
    assert not job.checkpoint.exists()


def test_a_checkpoint_of_other_settings(explainer, tmp_path):
    interrupted(Job(explainer, [inputs()], budget=SMALL), "two")
    other = Budget(memory=1 << 20, epochs=9)
    with pytest.raises(UsageError, match=r"begun otherwise \(epochs 8, now 9\)\n--overwrite begins anew"):
        Job(explainer, [inputs()], budget=other)
    with pytest.raises(UsageError, match=r"begun otherwise \(other pictures_sha256\)"):
        Job(explainer, [inputs(seed=1)], budget=SMALL)
    assert Job(explainer, [inputs()], budget=other, overwrite=True).resumed == 0
    assert Job(explainer, [inputs()], budget=SMALL, overwrite=True).resumed == 1
    checkpoint = Job(explainer, [inputs()], budget=SMALL).checkpoint
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(UsageError, match=r"net.relevance.part.npz: is no file of relevance models, or damaged"):
        Job(explainer, [inputs()], budget=SMALL)


def test_what_is_there_is_not_replaced_unasked(explainer, tmp_path):
    (tmp_path / "net.relevance.npz").write_bytes(b"mine")
    with pytest.raises(UsageError, match="is there already; --overwrite replaces it"):
        Job(explainer, [inputs()], budget=SMALL)
    with pytest.raises(UsageError, match="is a folder"):
        Job(explainer, [inputs()], output=tmp_path, budget=SMALL)


def test_networks_without_detection_layers(tmp_path):
    explainer = heatcli.load(write(tmp_path / "net.onnx", rectifier="Tanh"), preprocess="unit", range=(0, 1))
    with pytest.raises(UsageError, match="no layer of this network can have a relevance model"):
        list(Job(explainer, [inputs()]).run())


def test_networks_that_were_not_read(tmp_path):
    nodes = [whole.node("Hardmax", "x", "h"), whole.node("MatMul", "h w", "y")]
    path = whole.save(
        tmp_path / "net.onnx", nodes, [whole.End("x", [1, 4])], [whole.End("y", [1, 3])], {"w": whole.f(4, 3)}
    )
    with pytest.raises(UnsupportedModel, match="Hardmax"):
        Job(heatcli.load(path), [np.zeros((4, 4), "float32")])


def test_pictures_that_say_nothing(explainer):
    with pytest.raises(UsageError, match="need many pictures"):
        list(Job(explainer, [inputs(1)[0]]).run())
    with pytest.raises(UsageError, match="no picture of 12 has a score above 0"):
        list(Job(explainer, [np.zeros((12, 1, 10, 12), "float32")], budget=SMALL).run())


def test_files_and_bad_files(explainer, tmp_path):
    """Pictures, stacks and single inputs beside each other; what cannot be read is left out and named."""
    for place, x in enumerate(inputs(30)):
        PIL.Image.fromarray((255 * x[0]).clip(0, 255).astype("uint8")).save(tmp_path / f"{place}.png")
    (tmp_path / "30.png").write_bytes(b"no picture")
    np.save(tmp_path / "stack.npy", inputs(30, seed=3)[:, 0])
    np.save(tmp_path / "single.npy", inputs(1, seed=4)[0])
    files = [*(tmp_path / f"{place}.png" for place in range(31)), tmp_path / "stack.npy", tmp_path / "single.npy"]
    job = Job(explainer, files, budget=SMALL)
    assert len(job.fitter.pictures) == 62
    list(job.run())
    assert list(job.fitter.failed) == [str(tmp_path / "30.png")]
    with np.load(job.output) as held:
        described = json.loads(str(held["description"]))
    assert described["failed"] == 1
    assert described["settings"]["pictures"] == 62


def test_stacks(explainer, tmp_path):
    spec = explainer.network.input
    assert len(stacked(inputs(3), spec)) == 3
    assert len(stacked(inputs(3)[:, 0], spec)) == 3
    assert stacked(inputs(1)[0], spec) is None
    assert stacked(inputs(1), spec) is None
    assert stacked(np.zeros((3, 12, 10), "float32"), spec) is None  # height and width changed places
    assert stacked(np.zeros((0, 1, 10, 12), "float32"), spec) is None
    (tmp_path / "torn.npy").write_bytes(b"\x93NUMPY\x01\x00")
    assert stacked(tmp_path / "torn.npy", spec) is None
    pictures = Pictures([inputs(3), tmp_path / "a.png"], spec)
    assert len(pictures) == 4
    np.testing.assert_array_equal(pictures[1], inputs(3)[1])
    assert pictures[3] == tmp_path / "a.png"
    assert pictures.name(1) == "picture 1, number 2"
    assert pictures.name(3) == str(tmp_path / "a.png")
    assert len(pictures[1:3]) == 2
    assert pictures.digest != Pictures([inputs(3), tmp_path / "b.png"], spec).digest


def test_memory_is_kept_to(explainer, monkeypatch):
    """Rows of a layer take no more than they may; of many places or pictures some are drawn."""
    sizes = []
    made = fitter_module.Rows.samples

    def watched(self):
        rows = made(self)
        sizes.append(sum(value.nbytes for value in (rows.x, rows.upper, rows.relevance)))
        return rows

    monkeypatch.setattr(fitter_module.Rows, "samples", watched)
    budget = Budget(memory=64 << 10, epochs=1)
    job = Job(explainer, [inputs()], budget=budget)
    list(job.run())
    assert all(one + two <= 64 << 10 for one, two in zip(sizes[::2], sizes[1::2], strict=True))
    assert job.reports["one"].samples < 60 * 120
    assert job.reports["three"].samples + job.reports["three"].held_out <= 60


def test_several_classes_of_a_picture(explainer):
    one = Job(explainer, [inputs()], budget=SMALL)
    list(one.run())
    two = Job(explainer, [inputs()], targets=("top-2",), budget=SMALL, overwrite=True)
    list(two.run())
    counts = [job.reports["three"].samples + job.reports["three"].held_out for job in (one, two)]
    assert counts[0] < counts[1] <= 2 * counts[0]


def test_time_is_kept_to(explainer):
    """With no time to speak of every layer is still fitted, from what there is."""
    job = Job(explainer, [inputs()], budget=Budget(memory=1 << 20, seconds=1e-6))
    list(job.run())
    assert set(job.reports) == {"one", "two", "three"}
    assert all(report.epochs == 1 for report in job.reports.values())
    assert all(report.samples > 0 for report in job.reports.values())


@pytest.mark.parametrize(
    "setting", [{"pool": "winner"}, {"biases": "ignore"}, {"evidence": "one"}, {"rules": ("*=w2",)}]
)
def test_settings_that_the_models_were_not_fitted_to(explainer, setting):
    (option,) = ({"rules": "--rule"}.get(name, f"--{name}") for name in setting)
    with pytest.raises(UsageError, match=rf"^{option} does not go with deep-taylor-minmax"):
        explainer.explain(inputs(1)[0], method="deep-taylor-minmax", **setting)


def test_without_a_file(explainer):
    with pytest.raises(
        UsageError, match=r"needs relevance models, and there is no .*\n`heatcli fit .*net.onnx --images"
    ):
        explainer.explain(inputs(1)[0], method="deep-taylor-minmax")
    with pytest.raises(UsageError, match="--relevance-model does not go with deep-taylor"):
        explainer.explain(inputs(1)[0], relevance_model="a.npz")
