"""Print the lowest versions that pyproject.toml allows of what users install with heatcli, as pip's constraints."""

import re
import sys
import tomllib
from pathlib import Path

DEVELOPMENT = ("test", "peers", "train")

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = [extra for name, extra in project["optional-dependencies"].items() if name not in DEVELOPMENT]
for needed in sorted({needed for part in (project["dependencies"], *extras) for needed in part}):
    found = re.fullmatch(r"(?P<name>[\w.-]+)(\[[\w,]+\])?(>=|==)(?P<version>[\d.]+)(,<[\d.]+)?", needed)
    if found is None:
        raise SystemExit(f"pyproject.toml: {needed!r} does not say which version is the lowest")
    sys.stdout.write(f"{found['name']}=={found['version']}\n")
