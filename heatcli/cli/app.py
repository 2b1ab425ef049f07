"""The typer app: its commands, and what ``heatcli`` itself answers."""

from __future__ import annotations

import platform
from typing import Annotated

import typer

from heatcli.cli.compile import compile_
from heatcli.cli.explain import explain
from heatcli.cli.inspect import inspect
from heatcli.cli.models import models

app = typer.Typer(
    name="heatcli",
    help="Relevance heatmaps for ONNX image classifiers: which pixels speak for the class, and how much.",
    epilog="Example: heatcli explain cat.jpg --model googlenet.onnx --preprocess caffe",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from heatcli.batch.versions import versions

        found = versions()
        typer.echo(f"heatcli {found.pop('heatcli')}")
        typer.echo(", ".join(f"{package} {version}" for package, version in found.items()))
        typer.echo(platform.platform())
        raise typer.Exit


@app.callback()
def heatcli(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the versions and exit.")
    ] = False,
) -> None:
    """Relevance heatmaps for ONNX image classifiers: which pixels speak for the class, and how much."""


app.command(
    epilog="Examples:\n\n"
    "heatcli explain cat.jpg -m googlenet.onnx --preprocess caffe --labels words.txt\n\n"
    "heatcli explain photos/ -m googlenet.onnx -o maps/ --target top-3\n\n"
    "cat cat.jpg | heatcli explain - -m googlenet.onnx -o - > cat.png",
)(explain)
app.command(epilog="Example: heatcli inspect googlenet.onnx")(inspect)
app.command("compile", epilog="Example: heatcli compile googlenet.onnx -o explainer.onnx --preprocess caffe")(compile_)
app.add_typer(models, name="models")
