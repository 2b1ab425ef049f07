"""``python -m heatcli`` is the command ``heatcli``."""

import sys

from heatcli.cli import main

if __name__ == "__main__":
    sys.exit(main())
