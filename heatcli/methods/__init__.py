"""What the user names with ``--method``: a composite of rules, and what is made of the relevance it yields."""

from heatcli.methods.registry import METHODS, Method, named

__all__ = ["METHODS", "Method", "named"]
