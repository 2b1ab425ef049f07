"""Coverage-guided fuzzing of the two doors: ``python -m tests.fuzz.atheris_doors model|picture CORPUS [options]``.

Needs the package atheris. Any exception but those of heatcli is a find; the options are libFuzzer's, such as
``-max_total_time=300 -rss_limit_mb=4096 -timeout=20``.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import atheris  # noqa: E402 - after the number of threads is settled

with atheris.instrument_imports(include=["heatcli", "PIL", "onnx"]):
    from heatcli import network
    from heatcli.errors import HeatcliError
    from heatcli.pictures.reading import read_picture

from tests.fuzz import networks, pictures  # noqa: E402
from tests.fuzz.cases import Chance, Name  # noqa: E402

PLACE = Path("/dev/shm" if os.path.isdir("/dev/shm") else "/tmp") / f"heatcli-door-{os.getpid()}.onnx"


def model(content: bytes) -> None:
    """Read ``content`` as a model."""
    PLACE.write_bytes(content)
    with suppress(HeatcliError):
        network.read(PLACE)


def picture(content: bytes) -> None:
    """Read ``content`` as a picture; what comes is small enough to be held and is RGB."""
    try:
        found = read_picture(content)
    except HeatcliError:
        return
    assert found.mode == "RGB"


def seeds(door: str, corpus: Path) -> None:
    """Write sound files to begin with."""
    corpus.mkdir(parents=True, exist_ok=True)
    if door == "model":
        for name in networks.OWN:
            (corpus / f"{name}.onnx").write_bytes(networks.network(name).SerializeToString())
        return
    for number in range(120):
        kind, content = pictures.valid(Chance(Name("pictures", 0, number)))
        (corpus / f"{number}.{kind}").write_bytes(content)


def main() -> None:
    """Fuzz the door that is named, until libFuzzer's options end it."""
    door, corpus = sys.argv[1], Path(sys.argv[2])
    seeds(door, corpus)
    atheris.Setup([sys.argv[0], str(corpus), *sys.argv[3:]], {"model": model, "picture": picture}[door])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
