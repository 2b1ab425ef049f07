"""The linear maps of a network and their adjoints: in NumPy here, and as ONNX nodes in ``written``."""

from heatcli.kernels.maps import LinearMap, linear_map
from heatcli.kernels.terms import Denominator, InputPart, Term, WeightPart

__all__ = ["Denominator", "InputPart", "LinearMap", "Term", "WeightPart", "linear_map"]
