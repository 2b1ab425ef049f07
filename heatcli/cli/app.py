"""The commands of ``heatcli``, each imported when it is asked for, and what ``heatcli`` itself answers."""

from __future__ import annotations

import platform
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from heatcli.cli.interrupts import Interrupted


class Entry(NamedTuple):
    """A command: where its function or its own app is, what it does in a line, and what stands below its help."""

    module: str
    name: str
    short: str
    epilog: str = ""


COMMANDS = {
    "explain": Entry(
        "heatcli.cli.explain",
        "explain",
        "Write a heatmap for every picture: which pixels speak for the class, and how much.",
        "Examples:\n\n"
        "heatcli explain cat.jpg -m googlenet.onnx --preprocess caffe --labels words.txt\n\n"
        "heatcli explain photos/ -m googlenet.onnx -o maps/ --target top-3\n\n"
        "cat cat.jpg | heatcli explain - -m googlenet.onnx -o - > cat.png",
    ),
    "inspect": Entry(
        "heatcli.cli.inspect",
        "inspect",
        "Show the layers of a model, the rule of each, and what was guessed.",
        "Example: heatcli inspect googlenet.onnx",
    ),
    "compare": Entry(
        "heatcli.cli.compare",
        "compare",
        "Draw pictures × methods as one sheet, each with its heatmap.",
        "Examples:\n\n"
        "heatcli compare cat.jpg dog.jpg -m googlenet.onnx --methods sensitivity,deep-taylor -o grid.png\n\n"
        "heatcli compare cat.jpg -m googlenet.onnx --methods deep-taylor,occlusion --zoom auto",
    ),
    "report": Entry(
        "heatcli.cli.report",
        "report",
        "Write a page to look at what was explained: search, sort, compare.",
        "Examples:\n\nheatcli report maps/\n\nheatcli report maps/ -o page.html --thumbnails 256 --parquet",
    ),
    "evaluate": Entry(
        "heatcli.cli.evaluate",
        "evaluate",
        "Measure whether heatmaps are true: do they add up, and find what matters?",
        "Examples:\n\n"
        "heatcli evaluate photos/ -m googlenet.onnx --preprocess caffe --figures figures/\n\n"
        "heatcli evaluate photos/ -m googlenet.onnx --methods deep-taylor,lrp-epsilon --boxes boxes.json",
    ),
    "compile": Entry(
        "heatcli.cli.compile",
        "compile_",
        "Write the network and its explanation as one ONNX model.",
        "Example: heatcli compile googlenet.onnx -o explainer.onnx --preprocess caffe",
    ),
    "fit": Entry(
        "heatcli.cli.fit",
        "fit",
        "Train the relevance models that --method deep-taylor-minmax goes by.",
        "Example: heatcli fit digits.onnx --images photos/",
    ),
    "models": Entry("heatcli.cli.models", "models", "Known models: list them, fetch them; describe your own."),
}
HELP = {"help_option_names": ["-h", "--help"]}


class Commands(TyperGroup):
    """The commands, listed without importing any of them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands' names."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command and return it, None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        entry = COMMANDS[cmd_name]
        found = getattr(import_module(entry.module), entry.name)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False, rich_markup_mode="rich", context_settings=HELP)
            alone.command(cmd_name, epilog=entry.epilog)(found)
            found = alone
        command: Any = typer.main.get_command(found)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and let an interrupt pass typer, which would wait for threads that are at work."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise Interrupted(*stop.args) from stop

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write what each command does in a line."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.short) for name, entry in COMMANDS.items()])


app = typer.Typer(
    name="heatcli",
    cls=Commands,
    help="Relevance heatmaps for ONNX image classifiers: which pixels speak for the class, and how much.",
    epilog="Example: heatcli explain cat.jpg --model googlenet.onnx --preprocess caffe",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=HELP,
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
