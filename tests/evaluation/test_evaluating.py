"""The protocol as a whole: a linear network worked out by hand, failures, chance, and what is asked for wrongly."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import PIL.Image
import pytest

import heatcli
from heatcli.errors import HeatcliError, UsageError
from heatcli.evaluation import Evaluation, evaluate
from heatcli.evaluation.objects import Annotation, Thing
from tests.evaluation import small

COUNTS = (0, 4, 8, 16, 24, 32, 48, 64)


def numbers(found: Evaluation) -> list[object]:
    """Everything that was measured, without what took how long."""
    conserved = [(entry.method, entry.ratio, entry.worst, entry.negative, entry.least) for entry in found.conservation]
    return [conserved, [vars(entry) for entry in found.perturbation], [vars(entry) for entry in found.localisation]]


def object_in(name: str | None = None, box: tuple[float, ...] = (0, 0, 14, 28)) -> Annotation:
    return Annotation(PurePosixPath("any.png"), (Thing(name, box),), "boxes.json")


@pytest.fixture
def explainer(tmp_path: Path) -> heatcli.Explainer:
    return heatcli.load(small.convolutional(tmp_path / "net.onnx"), preprocess="unit", labels=["cat", "dog", "owl"])


class TestLinearNetwork:
    def probability(self, x: np.ndarray) -> float:
        scores = x.reshape(-1).astype(np.float64) @ small.WEIGHTS
        return float(1 / (1 + np.exp(scores[1] - scores[0])))

    def test_gradient_times_input_drops_what_can_be_worked_out(self, tmp_path: Path) -> None:
        (file,) = small.pictures(tmp_path, 1)
        explainer = heatcli.load(small.linear(tmp_path / "net.onnx"), preprocess="unit")
        found = evaluate(explainer, [file], ["gradient-x-input"], target=0)
        with PIL.Image.open(file) as picture:
            x = np.asarray(picture, np.float64).transpose(2, 0, 1) / 255
        relevance = x * small.WEIGHTS[:, 0].reshape(x.shape)
        sums = relevance.sum(axis=0).reshape(14, 2, 14, 2).sum(axis=(1, 3)).reshape(-1)
        best = np.argsort(-sums)
        for order, measured in ((best, found.perturbation[0].most), (best[::-1], found.perturbation[0].least)):
            for count, drop in zip(COUNTS, measured, strict=True):
                other = x.copy()
                for region in order[:count]:
                    row, column = divmod(int(region), 14)
                    other[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = x.mean(axis=(1, 2))[:, None, None]
                assert drop == pytest.approx(self.probability(x) - self.probability(other), abs=2e-5)
        scored = evaluate(explainer, [file], ["gradient-x-input"], target=0, checks=["perturbation"], output="score")
        kept = relevance - (x.mean(axis=(1, 2)) * small.WEIGHTS[:, 0].reshape(x.shape).transpose(1, 2, 0)).transpose(
            2, 0, 1
        )
        lost = kept.sum(axis=0).reshape(14, 2, 14, 2).sum(axis=(1, 3)).reshape(-1)
        drops = [lost[best[:count]].sum() for count in COUNTS]
        assert scored.perturbation[0].most == pytest.approx(drops, abs=1e-3)
        (row,) = found.conservation
        assert row.ratio == pytest.approx(1, abs=1e-4)  # x·w is all of the score
        assert row.least == pytest.approx(relevance.min(), rel=1e-4)
        negative = -np.minimum(relevance, 0).sum() / np.abs(relevance).sum()
        assert row.negative == pytest.approx(negative, rel=1e-4)

    def test_the_class_asked_for_is_the_one_explained(self, tmp_path: Path) -> None:
        files = small.pictures(tmp_path)
        explainer = heatcli.load(small.linear(tmp_path / "net.onnx"), preprocess="unit")
        top = evaluate(explainer, files, ["gradient"], checks=["conservation"])
        other = evaluate(explainer, files, ["gradient"], checks=["conservation"], target=1)
        for best, second, file in zip(top.pictures, other.pictures, files, strict=True):
            explanation = explainer.explain(file, method="gradient")
            assert (best.target, best.name) == (explanation.target, str(file))
            assert best.score == pytest.approx(explanation.score)
            assert best.probability == pytest.approx(explanation.probability)
            assert second.target == 1


class TestConservation:
    def test_biases_as_neurons_and_left_out(self, explainer: heatcli.Explainer, tmp_path: Path) -> None:
        methods = {"neurons": {"method": "deep-taylor"}, "ignore": {"method": "deep-taylor", "biases": "ignore"}}
        found = evaluate(explainer, small.pictures(tmp_path), methods, checks=["conservation"])
        neurons, ignore = found.conservation
        assert not neurons.conservative
        assert neurons.closes
        assert neurons.positive
        assert neurons.ratio + neurons.biases == pytest.approx(1, abs=1e-4)
        assert ignore.consistent
        assert ignore.biases == 0
        assert found.methods["ignore"]["biases"] == "ignore"
        counted = found.histograms["ignore"]
        assert counted.positive.sum() + counted.zeros == 3 * 3 * 28 * 28
        assert not counted.negative.any()


class TestChance:
    def test_the_same_seed_gives_the_same_numbers_in_any_number_of_threads(
        self, explainer: heatcli.Explainer, tmp_path: Path
    ) -> None:
        files = small.pictures(tmp_path)
        objects = {str(file): object_in() for file in files}

        def found(seed: int, jobs: int) -> list[object]:
            checks = ("conservation", "perturbation", "localisation")
            asked = {"checks": checks, "fillings": ("noise", "mean"), "objects": objects}
            return numbers(evaluate(explainer, files, seed=seed, jobs=jobs, **asked))

        one = found(3, 1)
        assert one == found(3, 4)
        assert one != found(4, 1)

    def test_a_picture_has_its_own_chance_whatever_becomes_of_others(
        self, explainer: heatcli.Explainer, tmp_path: Path
    ) -> None:
        files = small.pictures(tmp_path)
        whole = evaluate(explainer, files, ["gradient"])
        files[0].write_bytes(b"broken")
        part = evaluate(explainer, files, ["gradient"])
        for one, other in zip(whole.pictures[1:], part.pictures, strict=True):
            assert np.array_equal(one.drops["mean"]["random"].most, other.drops["mean"]["random"].most)


class TestFailures:
    def test_a_bad_picture_is_named_and_the_rest_goes_on(self, explainer: heatcli.Explainer, tmp_path: Path) -> None:
        files = small.pictures(tmp_path)
        files[1].write_bytes(b"broken")
        found = evaluate(explainer, [*files, tmp_path / "none.png"], ["deep-taylor", "gradient"])
        assert [entry.name for entry in found.pictures] == [str(files[0]), str(files[2])]
        assert [entry.name for entry in found.failures] == [str(files[1]), str(tmp_path / "none.png")]
        assert all(isinstance(entry.error, HeatcliError) for entry in found.failures)
        assert {entry.pictures for entry in found.perturbation} == {2}

    def test_a_picture_that_one_method_cannot_explain_counts_for_none(
        self, explainer: heatcli.Explainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files, explain = small.pictures(tmp_path), explainer.explain

        def failing(picture: Path, **settings: object) -> object:
            if picture == files[2] and settings["method"] == "gradient":
                raise HeatcliError("the relevance is not finite")
            return explain(picture, **settings)

        monkeypatch.setattr(explainer, "explain", failing)
        found = evaluate(explainer, files, ["deep-taylor", "gradient", "sensitivity"])
        assert [entry.name for entry in found.failures] == [str(files[2])]
        assert {entry.pictures + entry.empty for entry in found.conservation} == {2}
        assert {entry.pictures for entry in found.perturbation} == {2}

    def test_nothing_at_all_can_be_read(self, explainer: heatcli.Explainer, tmp_path: Path) -> None:
        found = evaluate(explainer, [tmp_path / "none.png"], ["gradient"])
        assert found.pictures == found.perturbation == ()
        assert found.conservation[0].pictures == 0

    def test_what_is_wrong_with_all_is_raised(self, explainer: heatcli.Explainer, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="--biases"):
            evaluate(explainer, small.pictures(tmp_path), {"gradient": {"biases": "ignore"}})


class TestLocalisation:
    def test_baselines_stand_beside_the_methods(self, explainer: heatcli.Explainer, tmp_path: Path) -> None:
        files = small.pictures(tmp_path)
        objects = {str(file): object_in() for file in files[:2]}
        found = evaluate(explainer, files, ["sensitivity"], checks=["localisation"], objects=objects)
        assert [entry.name for entry in found.localisation] == ["sensitivity", "random", "centre"]
        assert {entry.pictures for entry in found.localisation} == {2}
        assert [entry.area for entry in found.localisation] == [0.5] * 3
        _, random, centre = found.localisation
        assert random.inside == pytest.approx(0.5, abs=0.05)
        assert centre.inside == pytest.approx(0.5)
        assert found.conservation == found.perturbation == ()

    def test_objects_of_other_classes_and_out_of_sight_are_counted(
        self, explainer: heatcli.Explainer, tmp_path: Path
    ) -> None:
        files = small.pictures(tmp_path, 3, (56, 28))  # the network sees columns 14 to 42
        objects = dict(
            zip(
                map(str, files),
                (object_in("owl", (0, 0, 28, 28)), object_in("cat", (0, 0, 28, 28)), object_in("cat", (0, 0, 13, 28))),
                strict=True,
            )
        )
        found = evaluate(explainer, files, ["gradient"], target="cat", checks=["localisation"], objects=objects)
        assert found.unnamed == 1
        assert found.unseen == (str(files[2]),)
        assert found.localisation[0].pictures == 2
        assert found.localisation[0].area == 0.5

    def test_it_needs_objects_and_pictures(self, explainer: heatcli.Explainer, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="boxes or masks"):
            evaluate(explainer, small.pictures(tmp_path), checks=["localisation"])
        with pytest.raises(UsageError, match="no picture"):
            tensors = {"a": np.zeros((3, 28, 28), np.float32)}
            evaluate(explainer, tensors, ["gradient"], checks=["localisation"], objects={"a": object_in()})


class TestAskedFor:
    def test_tensors_of_any_shape_are_perturbed_too(self, tmp_path: Path) -> None:
        explainer = heatcli.load(small.linear(tmp_path / "net.onnx"))
        tensors = list(np.random.default_rng(0).normal(size=(2, 3, 28, 28)).astype(np.float32))
        found = evaluate(explainer, tensors, ["gradient-x-input", "occlusion"])
        assert [entry.name for entry in found.pictures] == ["picture 1", "picture 2"]
        assert found.perturbation[0].difference > 0.05
        assert found.regions == 196

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ({"methods": ["gradeint"]}, "unknown value 'gradeint'"),
            ({"methods": []}, "no method"),
            ({"methods": ["gradient", "gradient"]}, "named twice"),
            ({"methods": {"random": {"method": "gradient"}}}, "baseline"),
            ({"checks": ["beauty"]}, "known: conservation, perturbation, localisation, sanity"),
            ({"fillings": ["grey"]}, "known: mean, blur, noise"),
            ({"target": "top-2"}, "one class of each picture"),
            ({"target": "emu"}, "no class is called 'emu'"),
            ({"shares": [2]}, "between 0 and 1"),
            ({"output": "logit"}, "known: probability, score"),
            ({"methods": ["deep-taylor-minmax"], "checks": ["sanity"]}, "sanity does not go with deep-taylor-minmax"),
        ],
    )
    def test_wrongly(self, explainer: heatcli.Explainer, tmp_path: Path, asked: dict[str, object], said: str) -> None:
        with pytest.raises(UsageError, match=said):
            evaluate(explainer, small.pictures(tmp_path, 1), **{"methods": ["gradient"], **asked})

    def test_one_path_is_no_list(self, explainer: heatcli.Explainer) -> None:
        with pytest.raises(UsageError, match="give a list"):
            evaluate(explainer, "cat.jpg")

    def test_every_phase_is_watched_to_its_end(self, explainer: heatcli.Explainer, tmp_path: Path) -> None:
        from collections import Counter
        from contextlib import contextmanager

        done: Counter[str] = Counter()
        totals: dict[str, int] = {}

        @contextmanager
        def watch(what: str, total: int):
            totals[what] = total
            yield lambda: done.update([what])

        evaluate(explainer, small.pictures(tmp_path), ["gradient"], checks=["perturbation", "sanity"], watch=watch)
        assert dict(done) == totals
        assert list(totals)[:3] == ["Classifying", "Explaining: gradient", "Perturbing"]
