"""NumPy's remarks on overflow and the like are kept away: they name lines of code.

Results are checked, and what is not finite is named by the layer where it begins.
"""

from __future__ import annotations

import warnings


def ignore() -> None:
    """Keep them away in this process, for good."""
    warnings.filterwarnings("ignore", "(overflow|invalid value|divide by zero) encountered", RuntimeWarning)
