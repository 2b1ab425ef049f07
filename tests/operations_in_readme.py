"""The README's table of operations, written from the registry: ``python -m tests.operations_in_readme``."""

from __future__ import annotations

from pathlib import Path

from heatcli.network.operations import operations

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- operations -->\n", "<!-- end of operations -->\n"


def table() -> str:
    """Return the table, one row a family."""
    rows = [f"| {family} | {grouped(names)} |" for family, names in operations().items()]
    return "\n".join(["| family | operations |", "|---|---|", *rows, ""])


def grouped(names: list[str]) -> str:
    """Return names one after the other, those of one domain behind its name."""
    domains: dict[str, list[str]] = {}
    for name in names:
        domain, _, operation = name.rpartition(":")
        domains.setdefault(domain, []).append(operation)
    listed = [
        f"{domain}: {', '.join(names)}" if domain else ", ".join(names) for domain, names in sorted(domains.items())
    ]
    return "; ".join(listed)


def parts() -> tuple[str, str, str]:
    """Return the README before, in and behind the table."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    inside, _, behind = rest.partition(END)
    return before, inside, behind


if __name__ == "__main__":
    before, _, behind = parts()
    README.write_text(before + BEGIN + table() + END + behind, encoding="utf-8")
