"""What is written for every item, one colour scale for a batch, and memory that does not grow."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from heatcli.batch import worker
from heatcli.batch.batch import SAMPLE, Batch
from heatcli.batch.job import Drawing, Job, Loading, Ready
from heatcli.batch.workers import threads
from heatcli.errors import PictureError
from heatcli.explanation import ClassScore, Explanation, ModelInfo
from heatcli.pictures.preprocessing import Placement
from heatcli.pictures.rendering import full_colour
from heatcli.places.items import single
from heatcli.places.outputs import plan
from heatcli.places.sources import expand
from heatcli.relevance.ledger import Ledger, LedgerRow


class Fake:
    """Explains a picture by its name: the relevance of ``strength-N`` is N at every pixel."""

    model = ModelInfo("net.onnx", "abc", "")
    shape: tuple[int, ...] = (3, 4, 6)
    layout = "NCHW"

    def explain_targets(
        self, picture: Any, *, targets: tuple[Any, ...], advance: Callable[[], None], **settings: Any
    ) -> list[Explanation]:
        advance()
        if not isinstance(picture, Path):
            strength = 1.0
            assert isinstance(picture, bytes | np.ndarray)
        elif "broken" in picture.name:
            raise PictureError(f"{picture}: broken")
        else:
            strength = float(picture.stem.split("-")[1])
        relevance = np.full(self.shape, strength, np.float32)
        row = LedgerRow("conv", "Conv", "zB", 1.0, 1.0)
        return [
            Explanation(
                relevance=relevance,
                layout=self.layout,
                target=target,
                label="cat",
                score=1.0,
                probability=0.5,
                top=(ClassScore(target, "cat", 1.0, 0.5),),
                ledger=Ledger(1.0, 1.0, 1.0, 0.0, 0.0, 0.0, (row,)),
                layers={"conv": relevance[:1]} if settings.get("layers") else None,
                method="deep-taylor",
                signed=False,
                settings=settings,
                preprocessing={},
                model=self.model,
                image=PIL.Image.new("RGB", (6, 4), (200, 200, 200)) if len(self.shape) == 3 else None,
                placement=Placement((4, 6), (4, 6), (0, 0, 6, 4)) if len(self.shape) == 3 else None,
            )
            for target in targets
        ]


READY = Ready(Fake.model, (), None, "float32", 1, None, {})
LOADING = Loading("net.onnx")


@pytest.fixture(autouse=True)
def nothing_stays_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("key", "explainer"):
        monkeypatch.setattr(worker._Held, name, None)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    folder.mkdir()
    for strength in (1, 2, 8):
        PIL.Image.new("RGB", (6, 4), (200, 200, 200)).save(folder / f"s-{strength}.png")
    return folder


def run(inputs: list[str], output: str | None = None, fake: Any = None, **options: Any) -> list[Any]:
    sources = expand(inputs)
    targets = options.setdefault("targets", (5,))
    worker._Held.key, worker._Held.explainer = LOADING.key, fake or Fake()
    with threads(2) as workers:
        batch = Batch(Job(LOADING, plan(sources, output, several=len(targets) > 1), **options), READY, workers)
        if batch.unsettled:
            batch.settle_scale(batch.sample(sources.items))
        return list(batch.run(sources.items, None))


def brightness(path: Path) -> float:
    with PIL.Image.open(path) as picture:
        return float(np.asarray(picture.convert("L")).mean())


def test_every_target_is_a_file_and_a_record(photos: Path) -> None:
    outcomes = run(["photos/s-2.png"], targets=(5, 7))
    names = ["s-2.5.heatmap.png", "s-2.7.heatmap.png"]
    assert [made.record["output"] for made in outcomes[0].result] == names
    for name in names:
        with PIL.Image.open(name) as picture:
            assert picture.size == (6, 4)


def test_one_scale_for_the_batch_makes_maps_comparable(photos: Path) -> None:
    bare = {"style": "heatmap", "colormap": "grey"}
    run(["photos"], "alone", drawing=Drawing(**bare))
    run(["photos"], "together", drawing=Drawing(**bare, scale="shared"))
    alone = [brightness(Path(f"alone/s-{n}.heatmap.png")) for n in (1, 2, 8)]
    together = [brightness(Path(f"together/s-{n}.heatmap.png")) for n in (1, 2, 8)]
    assert alone == [255, 255, 255]
    assert together == pytest.approx([255 / 8, 255 / 4, 255], abs=1)


def test_with_one_scale_the_picture_is_still_below_the_overlay(photos: Path) -> None:
    shared = run(["photos"], "a", drawing=Drawing(scale="shared", style="overlay"))
    number = full_colour(np.full((4, 6), 24.0))
    run(["photos"], "b", drawing=Drawing(scale=number, style="overlay"))
    for name in ("s-1.heatmap.png", "s-8.heatmap.png"):
        assert Path("a", name).read_bytes() == Path("b", name).read_bytes()
    assert shared[0].result[0].record["settings"]["scale"] == number


@pytest.mark.parametrize("scale", ["per-image", "shared"])
def test_a_broken_picture_does_not_stop_the_others(photos: Path, scale: str) -> None:
    (photos / "broken.png").write_bytes(b"")
    outcomes = run(["photos"], drawing=Drawing(scale=scale))
    assert [outcome.error is None for outcome in outcomes] == [False, True, True, True]
    assert isinstance(outcomes[0].error, PictureError)
    assert sorted(path.name for path in Path("heatmaps").iterdir()) == [f"s-{n}.heatmap.png" for n in (1, 2, 8)]


def test_arrays_are_saved_beside_the_heatmap(photos: Path) -> None:
    run(["photos/s-2.png"], save=frozenset(["npy", "npz"]), layers=True)
    relevance = np.load("s-2.heatmap.npy")
    assert (relevance.shape, relevance.dtype, relevance.max()) == ((3, 4, 6), np.float32, 2.0)
    with np.load("s-2.heatmap.npz") as saved:
        assert saved["heatmap"].tolist() == np.full((4, 6), 6.0).tolist()
        assert (saved["ledger_pixels"], saved["ledger_error"], saved["target"]) == (1.0, 0.0, 5)
        readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
        assert [name for name in saved if f"`{name}`" not in readme] == []
        assert (saved["layers_name"].tolist(), saved["layers_rule"].tolist()) == (["conv"], ["zB"])


def test_what_is_no_picture_is_written_as_an_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("t-3.npy", np.zeros(7, np.float32))
    fake = Fake()
    fake.shape, fake.layout = (1, 2, 3, 4), "tensor"
    outcome = run(["t-3.npy"], fake=fake)[0]
    assert outcome.result[0].record["output"] == "t-3.heatmap.npy"
    assert np.load("t-3.heatmap.npy").shape == (1, 2, 3, 4)


@pytest.mark.parametrize("tensor", [True, False])
def test_stdin_holds_a_picture_or_a_tensor(photos: Path, monkeypatch: pytest.MonkeyPatch, tensor: bool) -> None:
    content = io.BytesIO()
    np.save(content, np.zeros(3)) if tensor else PIL.Image.new("RGB", (2, 2)).save(content, "PNG")
    content.seek(0)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(content))
    outcome = run(["-"], "-")[0]
    assert outcome.result[0].png.startswith(b"\x89PNG")
    assert outcome.result[0].record["output"] is None


def test_an_empty_stdin_says_so(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    assert "stdin is empty" in str(run(["-"])[0].error)


def test_a_large_batch_settles_its_scale_by_items_spread_evenly() -> None:
    items = [single(str(place), str(place), str(place)) for place in range(1000)]
    batch = Batch(Job(LOADING, plan(expand(["a.jpg"]), None)), READY, threads(1))
    taken = [int(item.name) for item in batch.sample(items)]
    assert taken == list(range(0, 1000, 5))
    assert len(taken) == SAMPLE
    assert batch.sample(items[:7]) == items[:7]
