"""The forward pass: onnxruntime runs the network and hands over the activations and denominators asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from heatcli import runtime
from heatcli.errors import UsageError
from heatcli.kernels.symbols import Graph
from heatcli.network.layers import Network

Array = np.ndarray


class Forward:
    """A session on the network's graph with further outputs: captured activations, and denominators beside them."""

    def __init__(
        self,
        network: Network,
        activations: Sequence[str] = (),
        *,
        beside: Graph | None = None,
        named: Mapping[str, str] | None = None,
        threads: int | None = None,
        scores: bool = True,
        provider: str = "cpu",
    ) -> None:
        """Open the session; ``threads`` bounds the threads inside one operation.

        ``beside`` holds nodes that are run beside the network's, ``named`` the tensors among them to capture: from the
        name under which ``run`` returns them to their own. Class scores and the network's output are captured too,
        unless ``scores`` is false: then the network is run no further than the activations need.
        """
        self.network = network
        graph = onnx.ModelProto.FromString(network.graph)
        extra = beside or Graph()
        graph.graph.node.extend(extra.nodes)
        graph.graph.initializer.extend(runtime.initializer(*entry) for entry in extra.constants.items())
        self.named = dict(named or {})
        head = (network.output.name, network.output.logits) if scores else ()
        wanted = (*head, *activations, *self.named.values())
        self.names = tuple(dict.fromkeys(name for name in wanted if name != network.input.name))
        self._captures_input = network.input.name in activations
        runtime.prune(graph.graph, self.names)
        del graph.graph.output[:]
        graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self.names)
        present = {entry.name for entry in graph.graph.initializer if entry.external_data}
        weights = {name: value for name, value in (network.weights | extra.constants).items() if name in present}
        self._session = runtime.open_session(
            graph.SerializeToString(),
            weights=weights,
            level="all",
            threads=threads,
            provider=provider,
            spinning=beside is None,
        )

    def run(self, x: Array) -> dict[str, Array]:
        """Run the network on ``x``, of the input's shape and dtype; return every captured tensor by name.

        Raises UsageError where shape or dtype do not fit.
        """
        spec = self.network.input
        if x.shape != spec.shape or x.dtype != np.dtype(spec.dtype):
            raise UsageError(
                f"the network input {spec.name} takes {spec.dtype} of shape {spec.shape}, got {x.dtype} of {x.shape}"
            )
        values = dict(zip(self.names, runtime.run(self._session, self.names, {spec.name: x}), strict=True))
        if self._captures_input:
            values[spec.name] = x
        return values | {key: values[name] for key, name in self.named.items()}
