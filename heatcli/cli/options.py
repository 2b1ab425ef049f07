"""Every option that commands share, defined once, and the values it can take."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from heatcli.cli import complete, guide

INPUTS, CLASS, RULES, FITTING, PICTURE, DRAWING, OUTPUT, STRANGERS, RUN = (
    "What is taken",
    "What is explained",
    "How relevance flows",
    "How relevance models are fitted",
    "How a picture becomes the network's input",
    "How the heatmap is drawn",
    "What is written",
    "Files from strangers",
    "How it runs",
)


class Pool(StrEnum):
    """How max pooling hands relevance down."""

    PROPORTIONAL = "proportional"
    WINNER = "winner"


class Biases(StrEnum):
    """What becomes of relevance that positive biases draw."""

    NEURONS = "neurons"
    IGNORE = "ignore"


class Evidence(StrEnum):
    """What is decomposed."""

    LOGIT = "logit"
    ONE = "one"
    PROBABILITY = "probability"


class WorkerKind(StrEnum):
    """What explains pictures at the same time."""

    THREADS = "threads"
    PROCESSES = "processes"


class Engine(StrEnum):
    """What computes the relevance pass."""

    NUMPY = "numpy"
    COMPILED = "compiled"


class Fit(StrEnum):
    """How a picture is brought to the input's size."""

    CROP = "crop"
    SQUASH = "squash"
    PAD = "pad"


class Channels(StrEnum):
    """The order of colour channels."""

    RGB = "rgb"
    BGR = "bgr"
    GREY = "grey"


class Layout(StrEnum):
    """The order of the input's axes."""

    NCHW = "nchw"
    NHWC = "nhwc"


class Style(StrEnum):
    """How heatmap and picture are put together."""

    HEATMAP = "heatmap"
    OVERLAY = "overlay"
    SIDE_BY_SIDE = "side-by-side"
    CONTOUR = "contour"


class SizeLike(StrEnum):
    """Whose size the heatmap has."""

    PICTURE = "picture"
    NETWORK = "network"


# the model and the class ----------------------------------------------------------------------------------------------

Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="FILE|NAME",
        help="The classifier: an ONNX file, or a name from `heatcli models list`.",
        show_default=False,
        autocompletion=complete.model_files,
    ),
]
ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="The classifier: an ONNX file, or a name from `heatcli models list`.",
        show_default=False,
        autocompletion=complete.model_files,
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Class names: a text file, one a line (synset lines are understood), or JSON.",
        rich_help_panel=CLASS,
    ),
]
Target = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="CLASS",
        help="Class to explain: top, top-K (the K best), an index, or a label. Repeatable. Default: top.",
        rich_help_panel=CLASS,
    ),
]
EvidenceOption = Annotated[
    Evidence,
    typer.Option(
        "--evidence",
        help="What is shared out: the class score before softmax, 1, or the probability.",
        rich_help_panel=CLASS,
    ),
]

# rules ----------------------------------------------------------------------------------------------------------------

Method = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="deep-taylor, deep-taylor-minmax, sensitivity, simple-taylor, gradient, gradient-x-input, "
        "integrated-gradients, smoothgrad, deconvnet, guided-backprop, lrp-epsilon, lrp-alpha2-beta1, "
        "lrp-epsilon-plus-flat or lrp-epsilon-gamma-box; or occlusion, which explains every network, by one run for "
        "each place of a window.",
        autocompletion=complete.methods,
        rich_help_panel=RULES,
    ),
]
RelevanceModel = Annotated[
    str | None,
    typer.Option(
        "--relevance-model",
        metavar="FILE",
        help="With --method deep-taylor-minmax: the relevance models that `heatcli fit` wrote. Default: "
        "MODEL.relevance.npz beside the model.",
        rich_help_panel=RULES,
    ),
]
HelpMethods = Annotated[
    bool,
    typer.Option(
        "--help-methods",
        callback=guide.print_methods,
        is_eager=True,
        help="Say of each method what it promises, what it costs and where it misleads.",
        rich_help_panel=RULES,
    ),
]
InputRule = Annotated[
    str | None,
    typer.Option(
        metavar="RULE",
        help="Rule of the first layer: zB, w2, z+ or flat. Default: the method's own; for deep-taylor zB, or w2 where "
        "the range of the input is not known.",
        autocompletion=complete.input_rules,
        rich_help_panel=RULES,
    ),
]
Rule = Annotated[
    list[str] | None,
    typer.Option(
        "--rule",
        metavar="PATTERN=RULE",
        help="Another rule for the layers whose names fit, such as 'conv1*=w2', '*=epsilon:0.25', "
        "'*=alpha-beta:2,1', '*=gamma:0.1'. Repeatable; `heatcli inspect` lists the names.",
        autocompletion=complete.rules,
        rich_help_panel=RULES,
    ),
]
Range = Annotated[
    str | None,
    typer.Option(
        "--range",
        metavar="L,H",
        help="Lowest and highest value of the network input, for zB: -1,1, or one pair a channel: -2,2/-1,1/-1,1. "
        "Default: black and white after preprocessing. Occlusion hides windows by the middle of it.",
        rich_help_panel=RULES,
    ),
]
PoolOption = Annotated[
    Pool | None,
    typer.Option(
        "--pool",
        help="Max pooling: shares in proportion to the activations, or all to the winner. Default: the method's own "
        "(deep-taylor: proportional).",
        rich_help_panel=RULES,
    ),
]
BiasesOption = Annotated[
    Biases,
    typer.Option(
        "--biases",
        help="Positive biases draw relevance like neurons, or are left out so that the pixels get all of it.",
        rich_help_panel=RULES,
    ),
]
Versus = Annotated[
    str | None,
    typer.Option(
        "--versus",
        metavar="CLASS",
        help="A rival class, an index or a label, or top for the best other one: its relevance is taken away, which "
        "shows what speaks for the one and not the other.",
        rich_help_panel=CLASS,
    ),
]
Window = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="With --method occlusion: side of the window that is hidden, in pixels of the network's input; the next "
        "one lies half a window on. Default: about 1/7 of each side.",
        rich_help_panel=RULES,
    ),
]

Steps = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Inputs that integrated-gradients (default 50) and smoothgrad (25) average over; rounds of the search of "
        "simple-taylor (40).",
        rich_help_panel=RULES,
    ),
]
Baseline = Annotated[
    str | None,
    typer.Option(
        metavar="WHAT",
        help="Where the path of integrated-gradients begins: black (default), grey, white or a value of the input.",
        rich_help_panel=RULES,
    ),
]
Noise = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE",
        help="Standard deviation of smoothgrad's noise as a share of the input's range; default 0.15.",
        rich_help_panel=RULES,
    ),
]
Seed = Annotated[
    str | None,
    typer.Option(metavar="N", help="What smoothgrad's noise is drawn from; default 0.", rich_help_panel=RULES),
]
TimeLimit = Annotated[
    str | None,
    typer.Option(
        metavar="SECONDS",
        help="How long simple-taylor may search for a root of one picture; default 60.",
        rich_help_panel=RULES,
    ),
]

# preprocessing --------------------------------------------------------------------------------------------------------

Preprocess = Annotated[
    str,
    typer.Option(
        metavar="PRESET",
        help="auto, imagenet, caffe, half, unit or raw; the options below override single facts of it.",
        autocompletion=complete.presets,
        rich_help_panel=PICTURE,
    ),
]
Size = Annotated[
    str | None,
    typer.Option(metavar="N|HxW", help="Input height and width, such as 224 or 240x320.", rich_help_panel=PICTURE),
]
FitOption = Annotated[
    Fit | None,
    typer.Option("--fit", help="Bring the picture to that size by this.", rich_help_panel=PICTURE),
]
Mean = Annotated[
    str | None,
    typer.Option(metavar="M[,M,M]", help="Subtracted, after the scale.", rich_help_panel=PICTURE),
]
Std = Annotated[
    str | None,
    typer.Option(metavar="S[,S,S]", help="Divided by, after the mean.", rich_help_panel=PICTURE),
]
PixelScale = Annotated[
    str | None,
    typer.Option(
        metavar="FACTOR",
        help="Pixels 0 to 255 are multiplied by this first; a fraction such as 1/255 is understood.",
        rich_help_panel=PICTURE,
    ),
]
ChannelsOption = Annotated[
    Channels | None, typer.Option("--channels", help="Order of the colours.", rich_help_panel=PICTURE)
]
LayoutOption = Annotated[
    Layout | None, typer.Option("--layout", help="Order of the input's axes.", rich_help_panel=PICTURE)
]

Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="NAME=FILE.npy",
        help="What a network takes beside the picture: the constant value of its input NAME. Repeatable; "
        "`heatcli inspect` lists the names.",
        rich_help_panel=PICTURE,
    ),
]

# drawing --------------------------------------------------------------------------------------------------------------

StyleOption = Annotated[
    Style | None,
    typer.Option(
        "--style",
        metavar="STYLE",
        help="heatmap, overlay, side-by-side or contour. Default: overlay; heatmap where the input is no picture.",
        rich_help_panel=DRAWING,
    ),
]
Colormap = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|COLOURS",
        help="hot, red, viridis, grey, or for signed maps a diverging one; or colours such as 000,f00,fff.",
        rich_help_panel=DRAWING,
    ),
]
Scale = Annotated[
    str,
    typer.Option(
        metavar="HOW",
        help="Relevance of the strongest colour: per-image, shared (one for the whole batch) or a number.",
        rich_help_panel=DRAWING,
    ),
]
SizeLikeOption = Annotated[
    SizeLike,
    typer.Option(
        "--size-like", help="Draw on the original picture, or as the network sees it.", rich_help_panel=DRAWING
    ),
]
Colorbar = Annotated[
    bool,
    typer.Option(
        "--colorbar",
        help="Draw a bar of the colours below the heatmap, with numbers: the relevance of one pixel of the network's "
        "input. With a number for --scale the bars of all heatmaps are the same.",
        rich_help_panel=DRAWING,
    ),
]
Show = Annotated[bool, typer.Option("--show", help="Show the heatmap in the terminal too.", rich_help_panel=DRAWING)]

# what is written ------------------------------------------------------------------------------------------------------

Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="A .png file, a folder, or - for stdout. Default: the current folder; heatmaps/ where a folder is given.",
        rich_help_panel=OUTPUT,
    ),
]
Save = Annotated[
    str | None,
    typer.Option(
        metavar="npy,npz,root",
        help="Also write beside the heatmap: the relevance as npy, or as npz with the account; root is what "
        "simple-taylor found, as a picture.",
        rich_help_panel=OUTPUT,
    ),
]
Layers = Annotated[
    bool,
    typer.Option("--layers", help="With --save npz: relevance and account of every layer too.", rich_help_panel=OUTPUT),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of text.", rich_help_panel=OUTPUT)]
Recursive = Annotated[
    bool,
    typer.Option(
        "--recursive/--no-recursive", help="Search folders with their sub-folders, or without.", rich_help_panel=INPUTS
    ),
]
Pattern = Annotated[
    list[str] | None,
    typer.Option(
        "--pattern",
        metavar="GLOB",
        help="Take files of such names from folders and archives, such as '*.jpg', instead of all that look like "
        "pictures; case does not matter. Repeatable, or with commas.",
        rich_help_panel=INPUTS,
    ),
]
ListFile = Annotated[
    str | None,
    typer.Option(
        "--list",
        metavar="FILE",
        help="Take inputs from a file too, or - for stdin: one a line, or with NUL between as find -print0 writes. "
        "Heatmaps keep the whole paths that stand there.",
        rich_help_panel=INPUTS,
    ),
]
PlanOption = Annotated[
    bool,
    typer.Option(
        "--plan",
        help="Print how many inputs there are, how long they will take and how much room, measured on a few of them; "
        "write nothing.",
        rich_help_panel=RUN,
    ),
]
Watch = Annotated[
    bool,
    typer.Option(
        "--watch", help="Explain what is in the folders, and then what arrives there.", rich_help_panel=INPUTS
    ),
]
Every = Annotated[
    str | None,
    typer.Option(metavar="SECONDS", help="With --watch: time between two looks. Default: 2.", rich_help_panel=INPUTS),
]
Report = Annotated[
    str | None,
    typer.Option(
        "--report",
        metavar="FILE.html",
        help="Write a page to look at all heatmaps when they are done, as `heatcli report` does.",
        rich_help_panel=OUTPUT,
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume/--overwrite",
        help="In a folder with records: skip what is finished with the same model and options, or do all again.",
        rich_help_panel=OUTPUT,
    ),
]

# files from strangers -------------------------------------------------------------------------------------------------

Limit = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="NAME=N",
        help="How much of a model is accepted: file, weights or activations in bytes (2G, 8G, 8G), nodes (50k), "
        "dimension in elements of a tensor (2G). Raise one only for a file that you trust. Repeatable.",
        rich_help_panel=STRANGERS,
    ),
]
MaxPixels = Annotated[
    str | None,
    typer.Option(
        "--max-pixels",
        metavar="N",
        help="Pictures with more pixels are refused; default 80M. The same as --limit pixels=N.",
        rich_help_panel=STRANGERS,
    ),
]

# how it runs ----------------------------------------------------------------------------------------------------------

EngineOption = Annotated[
    Engine,
    typer.Option(
        "--engine",
        help="numpy, or compiled: forward pass and relevance pass as one graph in onnxruntime, without an account by "
        "layer.",
        rich_help_panel=RUN,
    ),
]
Provider = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="What onnxruntime runs on: cpu, cuda, tensorrt, rocm, openvino, directml or coreml.",
        rich_help_panel=RUN,
    ),
]
Jobs = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Pictures explained at the same time. Default: chosen by the cores; more take more memory.",
        rich_help_panel=RUN,
    ),
]
WorkersOption = Annotated[
    WorkerKind | None,
    typer.Option(
        "--workers",
        help="Who explains pictures at the same time. Default: processes where records are kept, so that a picture "
        "that kills one costs that picture only; else threads.",
        rich_help_panel=RUN,
    ),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Have a Dask cluster do it, such as tcp://host:8786; needs the extra `cluster`.",
        rich_help_panel=RUN,
    ),
]
FailFast = Annotated[
    bool, typer.Option("--fail-fast", help="Stop at the first picture that fails.", rich_help_panel=RUN)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors and data.", rich_help_panel=RUN)]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Print more: times, and the account of every layer.", rich_help_panel=RUN),
]
VerboseInspect = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Print more: every layer, names in full, the evidence for guesses, metadata.",
        rich_help_panel=RUN,
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=RUN)]
