"""The layer list: what a network is once ONNX has been read, as plain data without behaviour beyond shapes.

A layer belongs to one family, and the family decides what happens to relevance that arrives at it. ``name`` is the name
of the layer's output tensor in the ONNX file, so that it is found again in any graph viewer. ``inputs`` names the
tensors that depend on the picture; everything else a layer needs is a NumPy constant inside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import ClassVar

import numpy as np

from heatcli.errors import UnsupportedModel

Array = np.ndarray
Operand = str | Array
"""What is merged or concatenated: the name of a data tensor, or a constant."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Layer:
    """One step of the network: its output's name, the ONNX operation it was read from, its data inputs."""

    family: ClassVar[str] = ""

    name: str
    operation: str
    inputs: tuple[str, ...]

    def __repr__(self) -> str:
        """Name the layer without its constants."""
        return f"{type(self).__name__}({self.operation} {', '.join(self.inputs)} → {self.name})"

    @property
    def parameters(self) -> int:
        """How many numbers of the file the layer holds; the fixed weights of averages and sums are none."""
        total = 0
        for entry in fields(self):
            if entry.name == "weights" and not isinstance(self, Linear):
                continue
            value = getattr(self, entry.name)
            for part in value if isinstance(value, tuple) else (value,):
                if isinstance(part, Layer):
                    total += part.parameters
                elif isinstance(part, np.ndarray):
                    total += part.size
        return total


# linear ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Linear(Layer):
    """x_j = Σ_i x_i w_ij + b_j with learned weights; ``bias`` broadcasts to the output or is None."""

    family: ClassVar[str] = "linear"

    weights: Array
    bias: Array | None = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Convolution(Linear):
    """Convolution over any number of spatial axes; ``weights`` (O, C/groups, *kernel).

    ``pads`` are those at the begin of each axis; what is padded or left over at its end follows from the output.
    """

    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    groups: int = 1


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TransposedConvolution(Convolution):
    """The adjoint of a convolution used as a layer; ``weights`` (C, O/groups, *kernel)."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Dense(Linear):
    """x (..., I) times ``weights`` (I, O)."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class StackedDense(Linear):
    """x (..., P, I) times ``weights`` (..., I, O), a matrix for every entry of the axes before, which broadcast."""


# pooling --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Window:
    """A sliding window: one entry a spatial axis, ``pads`` at the begin of the axis."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Pooling(Layer):
    """A layer that summarises a neighbourhood of activations."""

    family: ClassVar[str] = "pooling"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Averaging(Pooling):
    """A linear layer of one tensor whose ``weights`` are fixed: they are none of the network's own."""

    weights: Array
    bias: None = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AveragePooling(Averaging):
    """The mean of each window: ``weights`` is 1/divisor, (1, 1, *output) or broadcastable to the output."""

    window: Window


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Reduction(Averaging):
    """A mean or sum over whole ``axes``, with one weight (a scalar array) for all."""

    axes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Resampling(Averaging):
    """Other sampling points along one ``axis``: ``weights`` (I, O) say what each of O points takes of I."""

    axis: int


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MaxPooling(Pooling):
    """The largest activation of each window."""

    window: Window


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MaxReduction(Pooling):
    """The largest activation over whole ``axes``."""

    axes: tuple[int, ...]


# merging, gating ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Summation(Layer):
    """Σ_k w_k x_k of several tensors that broadcast: linear with fixed ``weights``, one a summand: ±1 or 1/n."""

    family: ClassVar[str] = "merging"

    operands: tuple[Operand, ...]
    weights: Array
    bias: None = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Extremum(Layer):
    """The elementwise largest (or smallest) of several tensors."""

    family: ClassVar[str] = "merging"

    operands: tuple[Operand, ...]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Gating(Layer):
    """The product or quotient of two data tensors.

    ``signal`` is the place of the one that takes all relevance, the other being a gate; None for half each.
    """

    family: ClassVar[str] = "gating"

    signal: int | None
    divide: bool = False


# attention ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DataProduct(Layer):
    """The matrix product of two data tensors over their last two axes, such as attention weights times values.

    ``values`` is the place of the one that takes all relevance, the other being its weights; None for half each.
    """

    family: ClassVar[str] = "attention"

    values: int | None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Softmax(Layer):
    """exp(x) over its sum along ``axis``, inside the network."""

    family: ClassVar[str] = "attention"

    axis: int


# elementwise ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Affine(Layer):
    """``scale`` · x + ``shift`` with constants that could not be folded into a linear layer."""

    family: ClassVar[str] = "affine"

    scale: Array | None = None
    shift: Array | None = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Activation(Layer):
    """An elementwise ``function`` of one tensor, by its ONNX name, with ``constants`` in the operation's order."""

    family: ClassVar[str] = "activation"

    function: str
    constants: tuple[Array, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Chain(Layer):
    """Several ``steps`` that together are an elementwise function of one tensor, such as x · sigmoid(x) written out."""

    family: ClassVar[str] = "activation"

    steps: tuple[Layer, ...]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LocalResponseNormalization(Layer):
    """x_c / (``bias`` + ``alpha``/``size`` · Σ x²)^``beta``, summed over ``size`` neighbouring channels."""

    family: ClassVar[str] = "normalisation"

    size: int
    alpha: float
    beta: float
    bias: float


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Normalization(Layer):
    """``scale`` · (x − μ) / √(σ² + ``epsilon``) + ``bias``, with mean and variance over ``axes``.

    Where it is not ``centred``, μ is left out and σ² is the mean of squares. ``scale`` and ``bias`` broadcast to x.
    """

    family: ClassVar[str] = "normalisation"

    axes: tuple[int, ...]
    epsilon: float
    scale: Array
    bias: Array | None = None
    centred: bool = True


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class NormalizationChain(Chain):
    """A normalisation written out: ``steps`` that scale and shift a tensor by statistics of itself.

    ``moves`` are those of the steps that its elements change places in, such as the reshapes around groups.
    """

    family: ClassVar[str] = "normalisation"

    moves: tuple[Moving, ...] = ()


# moving ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Moving(Layer):
    """Elements change places, none changes its value."""

    family: ClassVar[str] = "moving"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Reshape(Moving):
    """The same elements in the same order under another shape: Reshape, Flatten, Identity, Dropout, Cast."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Selection(Moving):
    """Elements of the first of two ``operands`` where a ``condition`` holds, of the second elsewhere: Where."""

    condition: Operand
    operands: tuple[Operand, ...]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Comparison(Layer):
    """True or false for every element, which takes no relevance: IsNaN, Greater, Not."""

    family: ClassVar[str] = "gating"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Transpose(Moving):
    """Axes in another order."""

    permutation: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Concatenation(Moving):
    """Several tensors side by side along ``axis``; constants among them take their part of the relevance away."""

    operands: tuple[Operand, ...]
    axis: int


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Slicing(Moving):
    """A part of the tensor: one slice an axis."""

    slices: tuple[slice, ...]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Gathering(Moving):
    """Elements picked along ``axis`` by constant non-negative ``indices`` of any shape."""

    axis: int
    indices: Array


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Padding(Moving):
    """A frame of one ``value`` around the tensor: ``pads`` (before, after) an axis, negative where it crops."""

    pads: tuple[tuple[int, int], ...]
    value: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Broadcasting(Moving):
    """The tensor repeated to a larger shape, as NumPy broadcasts."""


# the whole ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class InputSpec:
    """The network's input: ``shape`` with the batch axis and every size concrete, batch 1.

    ``layout`` is one of NCHW, NHWC, CHW, HWC, NHW, HW, flat (one row of numbers) or tensor (anything else). ``free``
    says that the file left height and width open; ``raw_pixels`` is the evidence that the graph normalises pixels.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    free: bool = False
    raw_pixels: str | None = None


@dataclass(frozen=True)
class OutputSpec:
    """The row of class scores: the graph's output ``name``, and ``logits``, the tensor before softmax or sigmoid.

    ``declared`` is the file's own output, of which ``name`` is the picture's row where there are several. ``single``
    says that it is one number f: the logits are then [−f, f], and ``name`` their probabilities.
    """

    name: str
    kind: str
    classes: int
    logits: str
    declared: str = ""
    single: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """A classifier as a layer list in forward order, from ``input`` to ``output.logits``.

    ``refusal`` says why there is no layer list, where the network can be run but not be decomposed.

    ``shapes`` gives every data tensor's shape at batch 1. ``graph`` is the simplified model as ONNX bytes, which the
    forward pass runs; ``weights`` are its large constants by name, which stand in it as placeholders. ``constants`` are
    inputs of the file that were given beside the picture; ``labels`` are class names that stand in its graph.
    """

    layers: tuple[Layer, ...]
    input: InputSpec
    output: OutputSpec
    shapes: dict[str, tuple[int, ...]]
    graph: bytes
    weights: dict[str, Array] = field(default_factory=dict)
    producer: str = ""
    opset: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    nonnegative: frozenset[str] = frozenset()
    constants: tuple[InputSpec, ...] = ()
    labels: tuple[str, ...] | None = None
    refusal: UnsupportedModel | None = None

    def require_layers(self) -> None:
        """Raise UnsupportedModel, every node by name, where the network could not be read into layers."""
        if self.refusal is not None:
            raise self.refusal.with_traceback(None)

    def __repr__(self) -> str:
        """Count the layers and name both ends."""
        return f"Network({len(self.layers)} layers from {self.input.name} to {self.output.logits})"
