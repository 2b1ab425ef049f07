"""Quantised networks as the real-valued functions that they approximate.

onnxruntime runs the network as it is, in integers. Beside every quantised tensor q stands the tensor of real numbers
(q − zero point) · scale that it means: it takes the name of q, and the integers are called ``NAME/quantised`` from then
on. What is read into layers is a graph over the real tensors: a quantised convolution is a convolution with dequantised
weights, and behind it stands the rounding, which saturates at the ends of the integer type.

Integers that a product of dynamically quantised tensors puts out mean such numbers too: integer times the scales of
both sides. What multiplies them by these scales later is read as the constant part of that factor.

To add an operation: a function under ``@means("Name")`` that adds the layers it stands for.
"""

from heatcli.network.quantised import dynamic, static  # noqa: F401  (importing them fills the registry)
from heatcli.network.quantised.reals import quantised, realise

__all__ = ["quantised", "realise"]
