"""The rules of relevance propagation, each written once as its equation.

A rule shares the relevance R_j of a linear layer's output x_j = Σ_i x_i w_ij + b_j among the inputs i. Every rule here
has the form

    z_j = Σ_t Σ_i a_i v_ij + c_j ,    R_i = Σ_t a_i Σ_j v_ij R_j / z_j

with terms t = (a, v) of a part a of the input and a part v of the weights; c is a part of the bias, and what it
draws, c_j R_j / z_j, is booked under biases. The inner sums are the linear map with the weights v (``apply``) and its
transpose (``adjoint``), so a rule holds for every kind of linear layer.

"The paper" is Montavon, Lapuschkin, Binder, Samek, Müller: Explaining nonlinear classification decisions with deep
Taylor decomposition, Pattern Recognition 65 (2017) 211–222.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

from heatcli.errors import UsageError
from heatcli.kernels.terms import ALL, NEGATIVE, ONE, POSITIVE, SQUARED, InputPart, Term, WeightPart, boosted

X, X_POSITIVE, X_NEGATIVE = InputPart.X, InputPart.POSITIVE, InputPart.NEGATIVE
ABOVE_LOW, BELOW_HIGH, EACH = InputPart.ABOVE_LOW, InputPart.BELOW_HIGH, InputPart.ONE


@dataclass(frozen=True)
class Share:
    """One fraction of a rule: R_i = factor · Σ_t a_i Σ_j v_ij R_j / (z_j + ε sign z_j).

    ``where`` restricts it to outputs whose own value is positive or not; ``otherwise`` takes over where z_j is zero.
    """

    terms: tuple[Term, ...]
    bias: WeightPart | None = None
    factor: float = 1.0
    epsilon: float = 0.0
    where: Literal["everywhere", "positive", "not positive"] = "everywhere"
    otherwise: Share | None = None


@dataclass(frozen=True)
class Rule:
    """A rule by ``name``, with its ``equation`` for people and its ``shares`` for the walk.

    ``signed`` says that it gives negative relevance even where what it shares is positive.
    """

    name: str
    equation: str
    shares: tuple[Share, ...] = ()
    signed: bool = False

    @property
    def needs_range(self) -> bool:
        """Whether the rule needs the bounds l and h of the input."""
        return any(a in (ABOVE_LOW, BELOW_HIGH) for share in self.shares for a, _ in share.terms)


# deep Taylor decomposition --------------------------------------------------------------------------------------------

Z_PLUS = Rule(
    "z+",
    "R_i = Σ_j x_i w⁺_ij / (Σ_i x_i w⁺_ij + b⁺_j) R_j",  # paper 4.2, Prop. 2; two-sided where inputs can be negative
    (Share(terms=((X_POSITIVE, POSITIVE), (X_NEGATIVE, NEGATIVE)), bias=POSITIVE),),
)

Z_BOX = Rule(
    "zB",
    "R_i = Σ_j (x_i w_ij − l_i w⁺_ij − h_i w⁻_ij) / (Σ_i (…) + b⁺_j) R_j",  # paper 4.2, Prop. 3
    (Share(terms=((ABOVE_LOW, POSITIVE), (BELOW_HIGH, NEGATIVE)), bias=POSITIVE),),  # w = w⁺ + w⁻
)

W_SQUARED = Rule(
    "w2",
    "R_i = Σ_j w²_ij / Σ_i w²_ij R_j",  # paper 4.1, eq. 13
    (Share(terms=((EACH, SQUARED),)),),
)

PROPORTIONAL = Rule(
    "proportional",
    "R_i = Σ_j x_i / Σ_i x_i R_j",  # paper 5.2; negative activations get something only where no positive one is
    (
        Share(
            terms=((X_POSITIVE, POSITIVE), (X_NEGATIVE, NEGATIVE)),
            otherwise=Share(terms=((X_NEGATIVE, POSITIVE), (X_POSITIVE, NEGATIVE))),
        ),
    ),
)

# layer-wise relevance propagation -------------------------------------------------------------------------------------


def epsilon(strength: float) -> Rule:
    """R_i = Σ_j x_i w_ij / (z_j + ε sign z_j) R_j, sign 0 = +1 (Bach et al. 2015); what ε absorbs is booked as lost."""
    if not 0 <= strength < inf:
        raise UsageError(f"epsilon:{strength:g} is no ε rule; epsilon must be a number that is not negative")
    return Rule(
        f"epsilon:{strength:g}",
        "R_i = Σ_j x_i w_ij / (z_j + ε sign z_j) R_j",
        (Share(terms=((X, ALL),), bias=ALL, epsilon=strength),),
        signed=True,
    )


def alpha_beta(alpha: float, beta: float) -> Rule:
    """Positive shares times α less negative shares times β, α − β = 1 (Bach et al. 2015)."""
    if not (alpha >= 1 and beta >= 0 and abs(alpha - beta - 1) <= 1e-6):
        raise UsageError(f"alpha-beta:{alpha:g},{beta:g} is no αβ rule; alpha − beta must be 1, and beta not negative")
    return Rule(
        f"alpha-beta:{alpha:g},{beta:g}",
        "R_i = Σ_j (α (x_i w_ij)⁺ / z⁺_j − β (x_i w_ij)⁻ / z⁻_j) R_j",
        (
            Share(terms=((X_POSITIVE, POSITIVE), (X_NEGATIVE, NEGATIVE)), bias=POSITIVE, factor=alpha),
            *(
                (Share(terms=((X_POSITIVE, NEGATIVE), (X_NEGATIVE, POSITIVE)), bias=NEGATIVE, factor=-beta),)
                if beta
                else ()
            ),
        ),
        signed=beta > 0,
    )


def gamma(strength: float) -> Rule:
    """W + γw⁺ in place of w (Montavon et al. 2019); for negative outputs the parts change places."""
    if not 0 <= strength < inf:
        raise UsageError(f"gamma:{strength:g} is no γ rule; gamma must be a number that is not negative")
    up, down = boosted(strength, +1), boosted(strength, -1)
    return Rule(
        f"gamma:{strength:g}",
        "R_i = Σ_j x_i (w_ij + γ w⁺_ij) / Σ_i x_i (w_ij + γ w⁺_ij) R_j",
        (
            Share(terms=((X_POSITIVE, up), (X_NEGATIVE, down)), bias=up, where="positive"),
            Share(terms=((X_POSITIVE, down), (X_NEGATIVE, up)), bias=down, where="not positive"),
        ),
        signed=True,
    )


FLAT = Rule("flat", "R_i = Σ_j 1 / Σ_i 1 R_j", (Share(terms=((EACH, ONE),)),))  # Lapuschkin et al. 2019

# not shares of a linear layer -----------------------------------------------------------------------------------------

GRADIENT = Rule("gradient", "R_i = Σ_j w_ij R_j", signed=True)
GUIDED = Rule("guided", "R_i = [x_i > 0] max(0, R_j)", signed=True)  # Springenberg et al. 2015
DECONVNET = Rule("deconvnet", "R_i = max(0, R_j)", signed=True)  # Zeiler & Fergus 2014
SMOOTH = Rule("smooth", "R_i = R_j / (1 + exp(−t x_i))", signed=True)  # paper's Table 1 b: t⁻¹ log(½ + ½ exp(tx))
WINNER = Rule("winner", "R_i = R_j for the largest x_i of the window")
PASS = Rule("pass", "R_i = R_j")
GATE = Rule("gate", "R_signal = R_j, R_gate = 0; half each where both are signals")


def named(text: str) -> Rule:
    """Return the rule that ``text`` names, such as ``z+`` or ``alpha-beta:2,1``; raises UsageError."""
    simple = {rule.name: rule for rule in (Z_PLUS, Z_BOX, W_SQUARED, PROPORTIONAL, FLAT, GRADIENT, WINNER, PASS)}
    name, _, rest = text.partition(":")
    try:
        numbers = [float(number) for number in rest.split(",")] if rest else []
        if name in simple and not numbers:
            return simple[name]
        if name == "epsilon" and len(numbers) <= 1:
            return epsilon(*(numbers or [1e-6]))
        if name == "gamma" and len(numbers) <= 1:
            return gamma(*(numbers or [0.25]))
        if name == "alpha-beta" and len(numbers) in (0, 2):
            return alpha_beta(*(numbers or [2.0, 1.0]))
    except ValueError:
        pass
    raise UsageError(f"unknown rule '{text}'; known: {', '.join(NAMES)}")


NAMES = (
    "z+",
    "zB",
    "w2",
    "epsilon:E",
    "alpha-beta:A,B",
    "gamma:G",
    "flat",
    "gradient",
    "proportional",
    "winner",
    "pass",
)
