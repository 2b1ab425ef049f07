"""Products that sum over axes, written as matrix products with the constant on the right."""

from __future__ import annotations

import math

import numpy as np
import onnx

from heatcli.network.rewriting.registry import Steps, Unwritable, rewrites

Shape = tuple[int, ...]


@rewrites("MatMul")
def constant_from_the_left(node: onnx.NodeProto, steps: Steps) -> str | None:
    """Write W x as (xᵀ Wᵀ)ᵀ, and a product of a matrix and a vector by axes of length 1."""
    a, b = node.input
    shapes = steps.shape(a), steps.shape(b)
    left = steps.value(a)
    vector_first = len(shapes[0]) < 2 and (left is not None or steps.value(b) is None or len(shapes[1]) > 2)
    if vector_first or len(shapes[1]) < 2:
        return _of_vectors(steps, (a, b), shapes)
    return None if left is None else _from_the_left(steps, left, b, shapes[1])


def _from_the_left(steps: Steps, left: np.ndarray, x: str, shape: Shape) -> str:
    turned = steps.constant(np.swapaxes(left, -1, -2))
    product = steps.node("MatMul", steps.swap(x, len(shape)), turned)
    return steps.swap(product, max(left.ndim, len(shape)))


def _of_vectors(steps: Steps, names: tuple[str, str], shapes: tuple[Shape, Shape]) -> str:
    """Write a product with one axis on either side as a product of matrices."""
    sides: list[str] = []
    whole: list[Shape] = []
    for place, (name, shape) in enumerate(zip(names, shapes, strict=True)):
        matrix = shape if len(shape) > 1 else ((1, *shape) if place == 0 else (*shape, 1))
        value = steps.value(name)
        if matrix == shape:
            sides.append(name)
        else:
            sides.append(steps.reshape(name, matrix) if value is None else steps.constant(value.reshape(matrix)))
        whole.append(matrix)
    left = steps.value(sides[0])
    product = steps.node("MatMul", *sides) if left is None else _from_the_left(steps, left, sides[1], whole[1])
    outer = np.broadcast_shapes(whole[0][:-2], whole[1][:-2])
    kept = (*outer, *shapes[0][-2:-1], *(shapes[1][-1:] if len(shapes[1]) > 1 else ()))
    return steps.reshape(product, kept) if kept else steps.node("Squeeze", product)


@rewrites("Gemm")
def product_and_sum(node: onnx.NodeProto, steps: Steps) -> str | None:
    """Write α A' B' + β C as product and sum, unless it is data times a constant as its reader takes it."""
    steps.accept("alpha", "beta", "transA", "transB", "broadcast")
    a, b = node.input[:2]
    c = steps.operand(2)
    turned = bool(steps.attribute("transA", 0)), bool(steps.attribute("transB", 0))
    fixed = steps.value(b) is not None and (c is None or steps.value(c) is not None)
    if steps.value(a) is None and fixed and not turned[0]:
        return None
    sides = []
    for name, turn in zip((a, b), turned, strict=True):
        value = steps.value(name)
        if value is None:
            sides.append(steps.swap(name, 2) if turn else name)
        else:
            sides.append(steps.constant(value.T if turn else value))
    left = steps.value(sides[0])
    right = tuple(steps.shape(b))[:: -1 if turned[1] else 1]
    y = steps.node("MatMul", *sides) if left is None else _from_the_left(steps, left, sides[1], right)
    y = steps.times(y, steps.attribute("alpha", 1.0))
    return y if c is None else steps.node("Add", y, steps.times(c, steps.attribute("beta", 1.0)))


@rewrites("Einsum")
def einsum(node: onnx.NodeProto, steps: Steps) -> str:
    """Write a sum of products, two operands at a time, as matrix products over batches."""
    steps.accept("equation")
    terms, output = labels(steps.attribute("equation"), [len(steps.shape(name)) for name in node.input])
    sizes: dict[str, int] = {}
    for term, name in zip(terms, node.input, strict=True):
        if len(set(term)) < len(term):
            raise Unwritable("a diagonal")
        for letter, length in zip(term, steps.shape(name), strict=True):
            if sizes.setdefault(letter, length) == 1:
                sizes[letter] = length
            if length not in (1, sizes[letter]) or (length == 1 and sizes[letter] > 1):
                raise Unwritable("axes of length 1 that are repeated")
    x, term = node.input[0], terms[0]
    for place in range(1, len(terms)):
        needed = set(output).union(*terms[place + 1 :])
        x, term = _pair(steps, (x, term), (node.input[place], terms[place]), needed, sizes)
    x, term = _summed(steps, x, term, set(output))
    return _ordered(steps, x, term, output)


def labels(equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """Return the letters of every operand and of the output; dots become capital Greek letters."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    dots = [rank - len(term.replace("...", "")) for term, rank in zip(terms, ranks, strict=True) if "..." in term]
    greek = "".join(chr(0x391 + place) for place in range(max(dots, default=0)))
    whole = []
    for term, rank in zip(terms, ranks, strict=True):
        count = rank - len(term.replace("...", ""))
        whole.append(term.replace("...", greek[len(greek) - count :] if count else ""))
    if arrow:
        return whole, right.replace("...", greek)
    joined = "".join(whole)
    once = sorted(letter for letter in set(joined) if joined.count(letter) == 1 and letter not in greek)
    return whole, greek + "".join(once)


def _summed(steps: Steps, x: str, term: str, kept: set[str]) -> tuple[str, str]:
    """Sum over the axes that nothing needs any more."""
    axes = [axis for axis, letter in enumerate(term) if letter not in kept]
    if not axes:
        return x, term
    return steps.reduce("ReduceSum", x, axes, keepdims=0), "".join(letter for letter in term if letter in kept)


def _ordered(steps: Steps, x: str, term: str, output: str) -> str:
    """Bring the axes into an order; a constant is turned at once."""
    order = [term.index(letter) for letter in output]
    value = steps.value(x)
    return steps.transpose(x, order) if value is None else steps.constant(value.transpose(order))


def _pair(
    steps: Steps, one: tuple[str, str], other: tuple[str, str], needed: set[str], sizes: dict[str, int]
) -> tuple[str, str]:
    """Multiply two tensors and sum over what only they have and nothing else needs."""
    (a, first), (b, second) = one, other
    if steps.value(a) is None or steps.value(b) is None:
        if steps.value(a) is None:
            a, first = _summed(steps, a, first, needed | set(second))
        if steps.value(b) is None:
            b, second = _summed(steps, b, second, needed | set(first))
    shared = [letter for letter in first if letter in second]
    batch = [letter for letter in shared if letter in needed]
    inner = [letter for letter in shared if letter not in needed]
    rows = [letter for letter in first if letter not in second]
    columns = [letter for letter in second if letter not in first]
    if steps.value(a) is not None:  # a constant stands on the right
        a, b, first, second, rows, columns = b, a, second, first, columns, rows

    def length(letters: list[str]) -> int:
        return math.prod(sizes[letter] for letter in letters)

    if not inner:  # nothing is summed
        whole = [*batch, *rows, *columns]
        sides = [
            _shaped(steps, x, term, kept, tuple(sizes[letter] if letter in kept else 1 for letter in whole))
            for x, term, kept in ((a, first, [*batch, *rows]), (b, second, [*batch, *columns]))
        ]
        return steps.node("Mul", *sides), "".join(whole)
    outer = tuple(sizes[letter] for letter in batch)
    left = _shaped(steps, a, first, [*batch, *rows, *inner], (*outer, length(rows), length(inner)))
    right = _shaped(steps, b, second, [*batch, *inner, *columns], (*outer, length(inner), length(columns)))
    product = steps.node("MatMul", left, right)
    term = "".join([*batch, *rows, *columns])
    return steps.reshape(product, tuple(sizes[letter] for letter in term)), term


def _shaped(steps: Steps, x: str, term: str, letters: list[str], shape: Shape) -> str:
    turned = _ordered(steps, x, term, "".join(letters))
    value = steps.value(turned)
    return steps.reshape(turned, shape) if value is None else steps.constant(value.reshape(shape))
