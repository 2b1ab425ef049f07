"""Is the heatmap true? Conservation and positivity, perturbation, localisation and sanity, measured and not claimed."""

from heatcli.evaluation import figures
from heatcli.evaluation.annotations import assigned, read_boxes, read_masks
from heatcli.evaluation.conservation import Conservation
from heatcli.evaluation.evaluating import CHECKS, METHODS_BY_DEFAULT, evaluate
from heatcli.evaluation.histograms import Histogram, histogram
from heatcli.evaluation.localisation import Localisation, Located, locate
from heatcli.evaluation.objects import Annotation, Thing
from heatcli.evaluation.perturbation import SHARES, Drops, Perturbation, curves, drops
from heatcli.evaluation.protocol import BASELINES
from heatcli.evaluation.results import Evaluation, Failure, Judged, Measured
from heatcli.evaluation.sanity import Sanity, Stage
from heatcli.evaluation.similarity import spearman, ssim

__all__ = [
    "BASELINES",
    "CHECKS",
    "METHODS_BY_DEFAULT",
    "SHARES",
    "Annotation",
    "Conservation",
    "Drops",
    "Evaluation",
    "Failure",
    "Histogram",
    "Judged",
    "Localisation",
    "Located",
    "Measured",
    "Perturbation",
    "Sanity",
    "Stage",
    "Thing",
    "assigned",
    "curves",
    "drops",
    "evaluate",
    "figures",
    "histogram",
    "locate",
    "read_boxes",
    "read_masks",
    "spearman",
    "ssim",
]
