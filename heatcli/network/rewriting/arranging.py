"""Operations that put elements in other places, by reshaping, transposing and picking."""

from __future__ import annotations

import math

import numpy as np
import onnx

from heatcli.network.resampling import NotByAxis, settled
from heatcli.network.rewriting.registry import Steps, Unwritable, rewrites


@rewrites("DepthToSpace")
def depth_to_space(node: onnx.NodeProto, steps: Steps) -> str:
    steps.accept("blocksize", "mode")
    x, size = node.input[0], int(steps.attribute("blocksize"))
    n, c, h, w = steps.shape(x)
    deep = c // size**2
    if steps.attribute("mode", "DCR") == "CRD":
        apart = steps.transpose(steps.reshape(x, (n, deep, size, size, h, w)), (0, 1, 4, 2, 5, 3))
    else:
        apart = steps.transpose(steps.reshape(x, (n, size, size, deep, h, w)), (0, 3, 4, 1, 5, 2))
    return steps.reshape(apart, (n, deep, h * size, w * size))


@rewrites("SpaceToDepth")
def space_to_depth(node: onnx.NodeProto, steps: Steps) -> str:
    steps.accept("blocksize", "mode")
    x, size = node.input[0], int(steps.attribute("blocksize"))
    n, c, h, w = steps.shape(x)
    order = (0, 1, 3, 5, 2, 4) if steps.attribute("mode", "DCR") == "CRD" else (0, 3, 5, 1, 2, 4)
    apart = steps.transpose(steps.reshape(x, (n, c, h // size, size, w // size, size)), order)
    return steps.reshape(apart, (n, c * size**2, h // size, w // size))


@rewrites("Tile")
def tile(node: onnx.NodeProto, steps: Steps) -> str:
    steps.accept()
    x = node.input[0]
    shape = steps.shape(x)
    times = steps.certain(steps.operand(1), "how often it repeats").reshape(-1)
    apart = [entry for length in shape for entry in (1, length)]
    larger = [int(entry) for count, length in zip(times, shape, strict=True) for entry in (count, length)]
    spread = steps.node("Expand", steps.reshape(x, apart), steps.constant(larger, np.int64))
    return steps.reshape(spread, [int(count) * length for count, length in zip(times, shape, strict=True)])


@rewrites("Pad")
def pad_by_what_is_there(node: onnx.NodeProto, steps: Steps) -> str | None:
    """Write a frame of the tensor's own elements as elements picked along each axis."""
    mode = steps.attribute("mode", "constant")
    if mode == "constant":
        return None
    steps.accept("mode", "pads", "value", "paddings")
    x = node.input[0]
    shape = steps.shape(x)
    pads = steps.attribute("pads")
    if pads is None:
        pads = steps.certain(steps.operand(1), "its list of pads").reshape(-1)
    axes = steps.operand(3)
    chosen = range(len(shape)) if axes is None else steps.certain(axes, "its list of axes").reshape(-1)
    for place, entry in enumerate(chosen):
        axis = int(entry) % len(shape)
        before, after, length = int(pads[place]), int(pads[place + len(chosen)]), shape[axis]
        if before == after == 0:
            continue
        places = np.arange(-before, length + after)
        if mode == "edge":
            places = places.clip(0, length - 1)
        elif mode == "wrap":
            places %= length
        elif mode == "reflect" and max(before, after) < length:
            places = length - 1 - np.abs(length - 1 - np.abs(places))
        else:
            raise Unwritable(f"padding of mode {mode} is not supported here")
        x = steps.node("Gather", x, steps.constant(places, np.int64), axis=axis)
    return x


@rewrites("GatherElements")
def gather_elements(node: onnx.NodeProto, steps: Steps) -> str:
    """Pick by places in the flat tensor."""
    steps.accept("axis")
    x = node.input[0]
    shape = steps.shape(x)
    indices = steps.certain(steps.operand(1), "its list of indices")
    axis = steps.attribute("axis", 0) % len(shape)
    places = np.where(indices < 0, indices + shape[axis], indices)
    apart = np.cumprod((1, *shape[::-1]))[-2::-1]  # how far elements next to each other on an axis lie apart
    grid = np.indices(indices.shape)
    flat = sum(int(apart[a]) * (places if a == axis else grid[a]) for a in range(len(shape)))
    return _picked(steps, x, np.asarray(flat))


@rewrites("GatherND")
def gather_slices(node: onnx.NodeProto, steps: Steps) -> str:
    """Pick slices by places on the first axes."""
    steps.accept("batch_dims")
    x = node.input[0]
    shape = steps.shape(x)
    indices = steps.certain(steps.operand(1), "its list of indices")
    if steps.attribute("batch_dims", 0):
        raise Unwritable("indices of their own for every entry of the batch")
    depth = indices.shape[-1]
    places = np.where(indices < 0, indices + np.asarray(shape[:depth]), indices)
    apart = np.cumprod((1, *shape[:depth][::-1]))[-2::-1]
    rows = (places * apart).sum(axis=-1)
    flat = steps.reshape(x, (math.prod(shape[:depth]), *shape[depth:]))
    return steps.node("Gather", flat, steps.constant(rows, np.int64), axis=0)


def _picked(steps: Steps, x: str, places: np.ndarray) -> str:
    return steps.node("Gather", steps.reshape(x, (-1,)), steps.constant(places, np.int64), axis=0)


@rewrites("Trilu")
def triangle(node: onnx.NodeProto, steps: Steps) -> str:
    """Keep one side of the diagonal of every matrix, zero elsewhere."""
    steps.accept("upper")
    x = node.input[0]
    rows, columns = steps.shape(x)[-2:]
    k = int(steps.certain(node.input[1], "its diagonal").reshape(())) if steps.operand(1) else 0
    ones = np.ones((rows, columns), bool)
    kept = np.triu(ones, k) if steps.attribute("upper", 1) else np.tril(ones, k)
    return steps.node("Where", steps.constant(kept), x, steps.number(0))


@rewrites("Softmax")
def softmax_of_one(node: onnx.NodeProto, steps: Steps) -> str | None:
    """Write a softmax over an axis of length 1 as what it is whatever the picture: ones."""
    shape = steps.shape(node.input[0])
    axis = steps.attribute("axis", 1 if steps.opset < 13 else -1) % len(shape)
    covered = math.prod(shape[axis:]) if steps.opset < 13 else shape[axis]
    return steps.constant(np.ones(shape, np.float32)) if covered == 1 else None


@rewrites("Div")
def constant_divided(node: onnx.NodeProto, steps: Steps) -> str | None:
    """Write c / x as c times the reciprocal."""
    above, below = node.input
    if steps.value(above) is None or steps.value(below) is not None:
        return None
    return steps.node("Mul", steps.node("Reciprocal", below), above)


@rewrites("Resize", "Upsample")
def axis_by_axis(node: onnx.NodeProto, steps: Steps) -> str | None:
    """Write one node for every axis that changes; the nearest of the old elements is picked."""
    x = node.input[0]
    shape, wanted = steps.shape(x), steps.shape(node.output[0])
    place = 1 if node.op_type == "Upsample" or steps.opset == 10 else 2
    scales = steps.operand(place)
    try:
        sampling = settled(
            node.op_type,
            steps.opset,
            shape,
            steps.attributes,
            None if scales is None else steps.certain(scales, "its scales"),
        )
    except NotByAxis as error:
        raise Unwritable(str(error)) from error
    changed = [axis for axis, (a, b) in enumerate(zip(shape, wanted, strict=True)) if a != b]
    scales_of = zip(sampling.scales or (), shape, wanted, strict=False)
    if changed and any(scale != 1 and a == b for scale, a, b in scales_of):
        raise Unwritable("an axis that keeps its length has other sampling points")
    nearest = steps.attribute("mode", "nearest") == "nearest"
    if len(changed) == 1 and not nearest:
        return None
    for axis in changed:
        if nearest:
            try:
                matrix = sampling.matrix(axis, shape[axis], wanted[axis])
            except NotByAxis as error:
                raise Unwritable(str(error)) from error
            if not np.array_equal(matrix.sum(axis=0), np.ones(wanted[axis])):
                raise Unwritable("points outside the picture")
            x = steps.node("Gather", x, steps.constant(matrix.argmax(axis=0), np.int64), axis=axis)
        else:
            sizes = [*wanted[: axis + 1], *shape[axis + 1 :]]
            one = None
            if sampling.scales is not None:
                one = [scale if a == axis else 1.0 for a, scale in enumerate(sampling.scales)]
            names, constants, attributes = sampling.node(sizes, one)
            added = {name: steps.constant(value) for name, value in constants.items()}
            x = steps.node(node.op_type, x, *(added.get(name, name) for name in names), **attributes)
    return x
