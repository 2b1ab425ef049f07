"""The same methods with forward pass and walk in one graph, which onnxruntime runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from heatcli import runtime
from heatcli.compiling import open_compiled
from heatcli.errors import UsageError
from heatcli.explanation import ClassScore
from heatcli.planning.layerwise import LayerPlan
from heatcli.planning.plan import Walked, nothing, start
from heatcli.relevance.ledger import Ledger
from heatcli.relevance.propagate import walks_together
from heatcli.targets import ranked

Array = np.ndarray


class CompiledPlan(LayerPlan):
    """The same, with forward pass and walk in one graph that onnxruntime runs; there is no account by layer."""

    def _prepare(self, threads: int | None, provider: str, dtype: type[np.floating]) -> None:
        if dtype is not np.float32:
            raise UsageError("the compiled engine computes in float32; leave precision out, or use the engine numpy")
        network = self.network
        self._compiled = self.compile({})
        self._names = dict.fromkeys((network.output.name, network.output.logits))
        self._session = open_compiled(self._compiled, self._names, threads=threads, provider=provider)

    def forward(self, x: Array, wanted: Sequence[int]) -> dict[str, Array]:
        """Run network and walk; a network whose batch cannot be told apart is run once for every class."""
        names = self._compiled.names
        outputs = [*self._names, names["relevance"], names["ledger"]]
        most = walks_together(self.network) if self._compiled.several else 1
        together = [list(wanted[begin : begin + most]) for begin in range(0, len(wanted), most)]
        runs = [
            runtime.run(
                self._session, outputs, {self.network.input.name: x, names["target"]: np.asarray(entry, np.int64)}
            )
            for entry in together
        ]
        values = dict(zip(self._names, runs[0], strict=False))
        if self._compiled.several:
            maps = [run[-2][place : place + 1] for run in runs for place in range(len(run[-2]))]
        else:
            maps = [run[-2] for run in runs]
        scores = np.asarray(values[self.network.output.logits], np.float32).reshape(-1)
        ledgers = np.concatenate([run[-1] for run in runs])
        indices = ranked(wanted, scores)
        values |= {f"{names['relevance']}/{index}": found for index, found in zip(indices, maps, strict=True)}
        values |= {f"{names['ledger']}/{index}": row for index, row in zip(indices, ledgers, strict=True)}
        return values

    def walk(
        self,
        values: dict[str, Array],
        x: Array,  # noqa: ARG002 - the graph has seen it
        explained: Sequence[ClassScore],
        kept: list[dict[str, Array]] | None = None,
        advance: Callable[[], None] = nothing,  # noqa: ARG002 - nothing is left to do
    ) -> list[Walked]:
        """Return what the run has found already; raises UsageError where every layer is asked for."""
        if kept is not None:
            raise UsageError("the relevance of every layer is known to the engine numpy alone")
        names, found = self._compiled.names, []
        for entry in explained:
            begun, pixels, biases, constants, lost = map(float, values[f"{names['ledger']}/{entry.index}"])
            ledger = Ledger(entry.score, begun, pixels, biases, constants, lost)
            if not self.conserves:
                ledger = Ledger(entry.score, start(entry, self.evidence), pixels=pixels)
            found.append(self.judge(values[f"{names['relevance']}/{entry.index}"], ledger))
        return found
