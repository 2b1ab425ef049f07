"""Which versions the tests run with: older ones cannot do some of what is tested."""

from importlib.metadata import version


def older(package: str, *than: int) -> bool:
    """Whether the installed ``package`` is older than a version, given as numbers."""
    return tuple(map(int, version(package).split(".")[: len(than)])) < than
