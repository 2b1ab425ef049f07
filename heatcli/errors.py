"""The exceptions of heatcli; each one knows the exit code that the command line answers with.

    HeatcliError                 1   anything heatcli says no to
    ├── UsageError               2   an option, a name or a file that was given does not fit
    │   └── Unwritable           2   this one file cannot be written; others may
    ├── PictureError             1   this one input cannot be read; others may
    ├── OutputError              1   nothing can be written any more: the disk is full
    ├── ClusterError             1   the cluster that does the work is gone
    ├── Fault                    1   a fault of heatcli itself, with its traceback
    └── ModelError               3   the model cannot be used at all
        ├── UnreadableModel      3   not an ONNX file, truncated, missing, refused by onnxruntime
        ├── UnsupportedModel     3   operations that heatcli cannot explain, every one of them by name
        └── NotAClassifier       3   the outputs are not one row of class scores

A message says what was given, what is wrong with it and what to do, in one or two lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from heatcli.visible import visible


def shown(name: str) -> str:
    """Return a name that a stranger chose for a message: as text that can be seen, 80 characters at most."""
    text = visible(name[:81])
    return text if len(text) <= 80 else text[:79] + "…"


class HeatcliError(Exception):
    """Base of all errors that heatcli raises on purpose."""

    exit_code = 1


class UsageError(HeatcliError):
    """An option, a name or a file that was given does not fit."""

    exit_code = 2


class PictureError(HeatcliError):
    """One input cannot be read as a picture or tensor."""


class Unwritable(UsageError):
    """This one file cannot be written; others may."""


class OutputError(HeatcliError):
    """Nothing can be written any more, to this file or another: the disk is full, or gone."""


class ClusterError(HeatcliError):
    """The cluster that does the work is gone, or does not do it any more."""


class Fault(HeatcliError):
    """A fault of heatcli itself: the ``kind`` of exception and its ``trace``, which may come from another process."""

    def __init__(self, message: str, kind: str = "Exception", trace: str = "") -> None:
        """Keep ``kind`` and ``trace`` beside the message."""
        super().__init__(message)
        self.kind, self.trace = kind, trace

    def __reduce__(self) -> tuple[Any, ...]:
        """Make it again with all that it holds."""
        return type(self), (str(self), self.kind, self.trace)


class ModelError(HeatcliError):
    """The model cannot be used."""

    exit_code = 3


class UnreadableModel(ModelError):
    """The file is missing, is no ONNX model, or onnxruntime refuses it."""


class NotAClassifier(ModelError):
    """No output of the model is one row of class scores."""


@dataclass(frozen=True)
class UnsupportedNode:
    """A node of the graph that no reader knows: its output name, operation, domain and the reason."""

    name: str
    operation: str
    domain: str
    reason: str

    def __str__(self) -> str:
        """One line: operation, the node's output and why it is not supported."""
        operation = f"{self.domain}:{self.operation}" if self.domain else self.operation
        return f"{shown(operation)} ({shown(self.name)}): {self.reason}"


class UnsupportedModel(ModelError):
    """The graph holds operations that heatcli cannot explain; ``nodes`` lists every one.

    ``hint`` says what else is to know, such as what can be done all the same: the last line of the error, below
    its ``message``.
    """

    def __init__(self, message: str, nodes: tuple[UnsupportedNode, ...] = (), hint: str = "") -> None:
        """Keep the unsupported ``nodes`` and the ``hint`` beside the message."""
        super().__init__(f"{message}\n{hint}" if hint else message)
        self.message, self.nodes, self.hint = message, nodes, hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Make it again with all that it holds."""
        return type(self), (self.message, self.nodes, self.hint)
