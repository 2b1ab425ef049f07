"""What each method promises, what it costs and where it misleads: the page that ``--help-methods`` prints."""

from __future__ import annotations

from typing import NamedTuple


class Guide(NamedTuple):
    """Three sentences or so about a method, for the person who chooses one."""

    promises: str
    costs: str
    misleads: str


ADVICE = (
    "Positive maps (deep Taylor and its relatives) say where the evidence lies. For why this class and not that one, "
    "set them against each other with --versus, or use lrp-epsilon or lrp-epsilon-gamma-box, whose shares can be "
    "negative. For what would happen without a part, use occlusion. Compare several with `heatcli compare`, and "
    "measure them on pictures of your own with `heatcli evaluate`."
)
GUIDES = {
    "deep-taylor": Guide(
        "Every pixel gets a share of f(x), none is negative, and all add up to it, with what positive biases drew; the "
        "same map every time, without training (Montavon et al. 2017, 5.2).",
        "One forward and one backward pass, some four to six times a forward pass.",
        "Positive rules hardly tell classes apart: maps of two classes of one picture look alike, and randomising the "
        "top layers changes little (Sixt et al. 2020). Read it as where the network looks; ask --versus for a class.",
    ),
    "deep-taylor-minmax": Guide(
        "Positive; adds up to f(x) but for the error of its relevance models, which is booked as lost (5.1).",
        "As deep-taylor, once `heatcli fit` has trained a relevance model for each layer on pictures of your kind.",
        "It is as good as the fit: look at the errors that `heatcli fit` reports. Other pictures than those it was "
        "fitted to are explained worse.",
    ),
    "sensitivity": Guide(
        "(∂f/∂x)²: which pixels, changed a little, would change the score most. Positive.",
        "One forward and one backward pass.",
        "It explains how the score varies, not the score: its sum has nothing to do with f(x), and what makes an "
        "object less itself shows as much as the object. Speckled.",
    ),
    "simple-taylor": Guide(
        "A root x̃ that really exists, inside the range of pixels, and what f loses on the way there (eq. 5).",
        "A search: some 20 to 40 rounds, each a gradient and a dozen forward passes. --save root shows what it found.",
        "Nearest roots of deep networks are noise to the eye (adversarial), and so are the maps; the sum falls short "
        "of f(x) since the function is bent, and signs can be mixed. Another search finds another root.",
    ),
    "gradient": Guide(
        "∂f/∂x with its sign.",
        "One forward and one backward pass.",
        "As sensitivity. The sign says whether brighter raises the score, not whether the object is there.",
    ),
    "gradient-x-input": Guide(
        "x ∂f/∂x: shares of f(x) for a network of rectifiers without biases; ε = 0 in disguise.",
        "One forward and one backward pass.",
        "It depends on where the preprocessing puts zero: what is zero there gets nothing. Noisy in deep networks.",
    ),
    "integrated-gradients": Guide(
        "Adds up to f(x) − f(baseline), up to the number of steps (Sundararajan et al. 2017).",
        "--steps gradients, 50 by default.",
        "It answers relative to the baseline: what looks like it (black, unless --baseline says otherwise) gets "
        "nothing, even where it is the object.",
    ),
    "smoothgrad": Guide(
        "The gradient averaged over noisy copies: less speckle (Smilkov et al. 2017). The same --seed, the same map.",
        "--steps gradients, 25 by default.",
        "The network is asked about pictures that it never saw; --noise decides what the map looks like.",
    ),
    "deconvnet": Guide(
        "What in the picture could have caused the activation, layer by layer (Zeiler & Fergus 2014).",
        "One forward and one backward pass.",
        "Looks sharp, and hardly depends on the class or on the top layers: it redraws edges (Adebayo et al. 2018). No "
        "share of anything.",
    ),
    "guided-backprop": Guide(
        "The gradient along paths that are positive on both ways (Springenberg et al. 2015).",
        "One forward and one backward pass.",
        "As deconvnet: near to an edge detector, nearly the same for a network with random top layers. Where nothing "
        "rectifies (GELU, SiLU) it is the gradient.",
    ),
    "lrp-epsilon": Guide(
        "Signed shares that add up to f(x) but for what ε absorbs (Bach et al. 2015).",
        "One forward and one backward pass.",
        "Noisy in deep networks: large shares of both signs cancel. With layer or group normalisation they can "
        "explode; the account shows it.",
    ),
    "lrp-alpha2-beta1": Guide(
        "Positive shares twice, negative ones once against them; adds up to f(x).",
        "One forward and one backward pass, about twice deep-taylor's.",
        "α 2 exaggerates contrast: in deep networks positive and negative relevance grow far beyond f(x).",
    ),
    "lrp-epsilon-plus-flat": Guide(
        "ε where classes are told apart, z+ where features are, flat on pixels; adds up to f(x).",
        "One forward and one backward pass.",
        "The flat rule blurs: it cannot tell single pixels within the first filter's window.",
    ),
    "lrp-epsilon-gamma-box": Guide(
        "ε on top, γ below, zB on pixels: sharper and more faithful to one class than deep-taylor on photographs "
        "(Montavon et al. 2019); adds up to f(x).",
        "One forward and one backward pass, somewhat more than deep-taylor's.",
        "Negative shares occur and have to be read as counter-evidence; its two parameters were chosen for VGG.",
    ),
    "occlusion": Guide(
        "How far the score falls when a window is hidden: an intervention, for any network at all.",
        "A forward pass for each place of the window, some 170.",
        "What is hidden is replaced, and the replacement is seen too. Blind to what the window is too small to hide, "
        "and to evidence that is there twice.",
    ),
}
