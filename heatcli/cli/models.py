"""``heatcli models``: the networks that are known by name, and where they lie on this computer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal

from heatcli.batch.records import json_text
from heatcli.cli import complete, options
from heatcli.cli.console import emit, stderr_console
from heatcli.cli.describe import describe
from heatcli.cli.fetching import fetch
from heatcli.errors import HeatcliError

if TYPE_CHECKING:
    from heatcli.known.registry import Known

models = typer.Typer(
    add_completion=False,
    help="Known models: list them, fetch them; describe your own.",
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A name from `heatcli models list`.",
        show_default=False,
        autocompletion=complete.known_models,
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Use no network: only what is in the cache counts.")]
UNCHECKED = "*"


@models.command("list", epilog="Example: heatcli models list --all")
def list_(
    all_: Annotated[
        bool, typer.Option("--all", help="Every file that is recognised, not only those with a short name.")
    ] = False,
    json: options.Json = False,
    debug: options.Debug = False,  # noqa: ARG001 - main reads it from the arguments
) -> int:
    """List the known models: name, size, classes, preprocessing, and whether they are in the cache."""
    from heatcli.known import cache, registry

    chosen = [known for known in registry.models() if all_ or known.aliases]
    if json:
        emit(json_text([_record(known) for known in chosen], indent=2), lines=True)
        return 0
    rows = [("name", "size", "classes", "preprocessing", "cached")]
    for known in chosen:
        row = (
            known.name if all_ else known.aliases[0],
            decimal(known.size),
            str(known.classes),
            _preprocessing(known),
            "yes" if cache.cached(known) else "no",
        )
        rows.append(row)
    rows[1:] = sorted(rows[1:])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if place in (1, 2) else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        emit("  ".join(cells).rstrip())
    stderr_console().print(
        f"{UNCHECKED} as the publisher states it, not checked on pictures. The cache is {cache.folder()}."
    )
    return 0


@models.command(epilog="Example: heatcli models pull squeezenet")
def pull(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAMES",
            help="Names from `heatcli models list`.",
            show_default=False,
            autocompletion=complete.known_models,
        ),
    ],
    offline: Offline = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001
) -> int:
    """Fetch known models into the cache, verified by sha256, and print their paths."""
    from heatcli.known import registry

    for known in [registry.find(name) for name in names]:
        emit(fetch(known, stderr_console(quiet=quiet), offline=offline))
    return 0


@models.command(epilog="Example: heatcli inspect $(heatcli models path squeezenet)")
def path(name: Name, debug: options.Debug = False) -> int:  # noqa: ARG001
    """Print where a known model lies on this computer; exit code 1 where it has not been fetched."""
    from heatcli.known import cache, registry

    known = registry.find(name)
    found = cache.cached(known)
    if found is None:
        raise HeatcliError(f"{name}: not fetched yet; `heatcli models pull {name}` puts it at {cache.path_of(known)}")
    if not cache.genuine(found, known):
        raise HeatcliError(cache.altered(found, known))
    emit(str(found))
    return 0


models.command(
    epilog="Examples:\n\n"
    "heatcli models describe net.onnx --labels words.txt\n\n"
    "heatcli models describe net.onnx --check cat.jpg --expect 'tabby cat'"
)(describe)


def _preprocessing(known: Known) -> str:
    """Return the preset's name in short, marked where it was never checked."""
    settings = known.settings
    words = str(settings.get("preprocess") or ("own numbers" if settings else "not stated"))
    return words if known.checked else words + UNCHECKED


def _record(known: Known) -> dict[str, Any]:
    from heatcli.known import cache

    found = cache.cached(known)
    return {
        "name": known.name,
        "aliases": list(known.aliases),
        "family": known.family,
        "sha256": known.sha256,
        "bytes": known.size,
        "classes": known.classes,
        "preprocessing": dict(known.settings),
        "checked": known.checked,
        "note": known.note,
        "path": None if found is None else str(found),
    }
