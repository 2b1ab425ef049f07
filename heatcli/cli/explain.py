"""``heatcli explain``: heatmaps for pictures, folders, globs, tensors and stdin."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from heatcli.batch import records
from heatcli.batch.batch import Batch
from heatcli.batch.job import Drawing, Job, Loading, settings_hash
from heatcli.batch.workers import Processes, Workers, threads
from heatcli.cli import options, unsupported, values
from heatcli.cli.abreast import abreast
from heatcli.cli.fetching import offer
from heatcli.cli.report import page_at
from heatcli.cli.running import Run
from heatcli.errors import UnsupportedModel, UsageError
from heatcli.limits import Limits
from heatcli.places import outputs, sources, storage
from heatcli.places.outputs import Plan
from heatcli.places.sources import Sources

FEW = 3
"""So many unsupported nodes are listed with their reasons; more are counted by operation."""


def explain(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUTS",
            help="Pictures, folders, globs, archives, URLs, .npy tensors, or - for stdin.",
            show_default=False,
        ),
    ] = None,
    *,
    model: options.Model,
    target: options.Target = None,
    versus: options.Versus = None,
    labels: options.Labels = None,
    evidence: options.EvidenceOption = options.Evidence.LOGIT,
    method: options.Method = "deep-taylor",
    help_methods: options.HelpMethods = False,  # noqa: ARG001 - answered before anything else is read
    input_rule: options.InputRule = None,
    rule: options.Rule = None,
    range_: options.Range = None,
    pool: options.PoolOption = None,
    biases: options.BiasesOption = options.Biases.NEURONS,
    window: options.Window = None,
    steps: options.Steps = None,
    baseline: options.Baseline = None,
    noise: options.Noise = None,
    seed: options.Seed = None,
    time_limit: options.TimeLimit = None,
    relevance_model: options.RelevanceModel = None,
    preprocess: options.Preprocess = "auto",
    size: options.Size = None,
    fit: options.FitOption = None,
    mean: options.Mean = None,
    std: options.Std = None,
    pixel_scale: options.PixelScale = None,
    channels: options.ChannelsOption = None,
    layout: options.LayoutOption = None,
    input_: options.Inputs = None,
    style: options.StyleOption = None,
    colormap: options.Colormap = None,
    scale: options.Scale = "per-image",
    size_like: options.SizeLikeOption = options.SizeLike.PICTURE,
    colorbar: options.Colorbar = False,
    show: options.Show = False,
    recursive: options.Recursive = True,
    pattern: options.Pattern = None,
    list_: options.ListFile = None,
    watch: options.Watch = False,
    every: options.Every = None,
    output: options.Output = None,
    save: options.Save = None,
    layers: options.Layers = False,
    json: options.Json = False,
    report: options.Report = None,
    resume: options.Resume = True,
    plan_: options.PlanOption = False,
    engine: options.EngineOption = options.Engine.NUMPY,
    provider: options.Provider = "cpu",
    jobs: options.Jobs = None,
    workers: options.WorkersOption = None,
    cluster: options.ClusterOption = None,
    isolate: options.Isolate = None,
    limit: options.Limit = None,
    max_pixels: options.MaxPixels = None,
    fail_fast: options.FailFast = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> int:
    """Write a heatmap for every picture: which pixels speak for the class, and how much."""
    targets = tuple(target or ("top",))
    if list_ is None and not inputs:
        raise UsageError("nothing to explain: give pictures, a folder, or --list FILE")
    look = partial(
        sources.expand,
        inputs or (),
        recursive=recursive,
        patterns=pattern or (),
        listed=list_,
        watched=watch,
    )
    interval = _watchable(inputs or (), every, watch=watch, listed=list_ is not None)
    found = look()
    plan = outputs.plan(found, output, several=_several(targets))
    outputs.check(plan, found.items)
    saved = values.choices(save, "--save", ("npy", "npz", "root"))
    _check_stdio(found, plan, saved=bool(saved), json=json)
    if layers and "npz" not in saved:
        raise UsageError("--layers goes with --save npz")
    if layers and engine is options.Engine.COMPILED:
        raise UsageError("--layers goes with --engine numpy: the compiled engine keeps no layer's relevance")
    drawing = Drawing(style and style.value, colormap, values.colour_scale(scale), size_like.value, colorbar)
    loading = values.loading(
        preprocess=preprocess,
        labels=labels,
        size_=size,
        fit=fit,
        mean=mean,
        std=std,
        pixel_scale=pixel_scale,
        channels=channels,
        layout=layout,
        range_=range_,
        inputs=input_,
        limit=limit,
        max_pixels=max_pixels,
    )
    loading |= {"engine": engine.value, "provider": provider}
    settings = values.settings(
        method=method,
        input_rule=input_rule,
        rule=rule,
        pool=pool,
        biases=biases,
        evidence=evidence,
        window=window,
        steps=steps,
        baseline=baseline,
        noise=noise,
        seed=seed,
        time_limit=time_limit,
        relevance_model=relevance_model,
    )
    if "root" in saved and method != "simple-taylor":
        raise UsageError(f"--save root goes with --method simple-taylor; {method} has no root")
    if "root" in saved and versus is not None:
        raise UsageError("--save root does not go with --versus: two classes have two roots; save that of each alone")
    asked: dict[str, Any] = {
        "target": targets,
        "versus": versus,
        **settings,
        **loading,
    }
    asked.pop("limits", None)  # what is accepted changes no heatmap
    asked |= {**asdict(drawing), "pixel_scale": loading["scale"]}
    asked |= {"save": sorted(saved), "layers": layers}

    kept = plan.records is not None
    page = None if report is None else page_at(report)
    if page is not None and (not kept or watch or plan_):
        raise UsageError("--report goes with folders and many pictures, and not with --watch or --plan")
    offer(model)
    fence = _fence(workers, cluster, isolate, loading.get("limits"), kept=kept, device=provider != "cpu")
    with _workers(fence, jobs, cluster, items=len(found.items)) as (crew, threads):
        job = Job(
            Loading(model, loading, threads),
            plan,
            targets,
            versus,
            settings,
            drawing,
            saved,
            layers,
            show=show,
            whole=len(found.items) == 1 and not found.folders,
            base="" if cluster is None else storage.absolute(""),
        )
        try:
            ready = crew.prepare(job)
        except UnsupportedModel as error:
            raise _shortened(error, model) from error
        asked |= {"relevance_model": ready.relevance_models, "inputs": ready.inputs}
        recorded = records.plain(asked)
        job = replace(job, options=recorded, sha256=ready.model.sha256, hash=settings_hash(recorded, ready))
        run = Run(
            Batch(job, ready, crew),
            json=json,
            show=show,
            fail_fast=fail_fast,
            quiet=quiet,
            verbose=verbose,
            debug=debug,
        )
        if plan_:
            return run.estimate(found, resume=resume)
        if watch:
            run.watch(look, resume=resume, every=interval)
        code = run.over(found, resume=resume)
    if page is not None:
        run.report(found, page, Limits.of(loading.get("limits")))
    return code


def _watchable(inputs: Sequence[str], every: str | None, *, watch: bool, listed: bool) -> float:
    """Return the seconds between two looks; raises UsageError where what is to be watched is no folder of ours."""
    if not watch:
        if every is not None:
            raise UsageError("--every goes with --watch")
        return 0.0
    strange = next((text for text in inputs if not Path(text).is_dir()), None)
    if strange is not None or listed:
        raise UsageError(f"--watch takes folders of this machine, not {strange or '--list'}")
    seconds = 2.0 if every is None else values.number(every, "--every")
    if seconds <= 0:
        raise UsageError(f"--every {every}: seconds above 0 are needed")
    return seconds


@dataclass(frozen=True)
class _Fence:
    """What a process that explains pictures may take: bytes of address space, seconds for a picture; None: no limit."""

    memory: int | None
    seconds: float | None


def _fence(
    kind: options.WorkerKind | None,
    cluster: str | None,
    isolate: bool | None,
    given: Mapping[str, int] | None,
    *,
    kept: bool,
    device: bool,
) -> _Fence | None:
    """Return the limits of processes, None where there are none: threads, or the machines of a cluster.

    A run that keeps records has processes by itself, so that a picture that kills one costs that picture only. What
    computes elsewhere than on the processor maps more addresses than there is memory: such a process has a limit only
    where one is given.
    """
    if cluster is not None and kind is not None:
        raise UsageError("--cluster brings its own workers; leave out --workers and --jobs")
    threads_asked = kind is options.WorkerKind.THREADS
    if isolate and (threads_asked or cluster is not None):
        raise UsageError("--isolate is for processes of this machine; leave out --workers threads and --cluster")
    processes = cluster is None and not threads_asked and (kept or isolate or kind is options.WorkerKind.PROCESSES)
    fencing = {"memory", "seconds"}.intersection(given or {})
    if fencing and (not processes or isolate is False):
        raise UsageError(f"--limit {fencing.pop()} is for processes; give --isolate too")
    if not processes or (isolate is False and kind is None):
        return None
    if isolate is False:
        return _Fence(None, None)
    limits = Limits.of(given)
    return _Fence(None if device and "memory" not in fencing else limits.memory, limits.seconds)


@contextmanager
def _workers(
    fence: _Fence | None, jobs: str | None, cluster: str | None, *, items: int
) -> Iterator[tuple[Workers, int | None]]:
    """Start who does the work, and yield them with the threads that onnxruntime gets in each."""
    at_once = None if jobs is None else values.whole(jobs, "--jobs")
    if cluster is not None:
        if at_once is not None:
            raise UsageError("--cluster brings its own workers; leave out --workers and --jobs")
        from heatcli.batch.cluster import Cluster

        with Cluster(cluster, items) as crew:
            yield crew, 1
        return
    count, each = abreast(at_once, items)
    with threads(count) if fence is None else Processes(count, memory=fence.memory, seconds=fence.seconds) as crew:
        yield crew, each


def _several(targets: Sequence[str]) -> bool:
    """Whether one picture can get more than one heatmap."""
    best = [re.fullmatch(r"top-0*(\d+)", target, re.IGNORECASE) for target in targets]
    return len(targets) > 1 or any(match is not None and match.group(1) not in ("0", "1") for match in best)


def _check_stdio(found: Sources, plan: Plan, *, saved: bool, json: bool) -> None:
    """Raise UsageError where stdin or stdout is asked to be two things, or binary data would go to a terminal."""
    if any(item.is_stdin for item in found.items) and sys.stdin.isatty():
        raise UsageError("- reads a picture from stdin, which is this terminal; pipe one in: cat cat.jpg | heatcli …")
    if not plan.to_stdout:
        return
    if json:
        raise UsageError("-o - and --json both write to stdout; give -o a file")
    if saved:
        raise UsageError("--save writes files beside the heatmap, and -o - makes none; give -o a file")
    if sys.stdout.isatty():
        raise UsageError("-o - writes a PNG to stdout, which is this terminal; redirect it: … -o - > cat.png")


def _shortened(error: UnsupportedModel, model: str) -> UnsupportedModel:
    """Return ``error`` with its nodes counted by operation where they are many."""
    if len(error.nodes) <= FEW:
        return error
    inspect = f"`heatcli inspect {shlex.quote(model)}` lists every node"
    return UnsupportedModel(f"{unsupported.summary(error)}\n{inspect}", error.nodes, error.hint)
