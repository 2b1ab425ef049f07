"""Is the heatmap true? Conservation and positivity, perturbation, localisation and sanity, measured and not claimed."""

from heatcli.evaluation import figures
from heatcli.evaluation.annotations import assigned, read_boxes, read_masks
from heatcli.evaluation.conservation import Conservation, conservation
from heatcli.evaluation.histograms import Histogram, histogram
from heatcli.evaluation.localisation import Localisation, Located, localisation, locate
from heatcli.evaluation.objects import Annotation, Thing
from heatcli.evaluation.perturbation import SHARES, Drops, Perturbation, curves, drops
from heatcli.evaluation.protocol import BASELINES, CHECKS, METHODS_BY_DEFAULT, evaluate
from heatcli.evaluation.results import Evaluation, Failure, Judged, Measured
from heatcli.evaluation.sanity import Sanity, Stage, sanity
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
    "conservation",
    "curves",
    "drops",
    "evaluate",
    "figures",
    "histogram",
    "localisation",
    "locate",
    "read_boxes",
    "read_masks",
    "sanity",
    "spearman",
    "ssim",
]
