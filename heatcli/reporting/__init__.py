"""One page about many explanations: a gallery to search and sort, and the same as a table."""

from heatcli.reporting.report import MOST, PAGE, THUMBNAILS, Written, write_report

__all__ = ["MOST", "PAGE", "THUMBNAILS", "Written", "write_report"]
