"""Nodes and their wires: taken out, put in, doubled, in disorder, under other names."""

from __future__ import annotations

from onnx import helper, numpy_helper

from tests.fuzz.cases import Chance
from tests.fuzz.damage import MODEST, number, real, word
from tests.fuzz.wounds.registry import KINDS, OPERATIONS, array, copied, nodes, one, values, wound


@wound
def rewired(chance, model, folder):
    """An input of a node is another tensor, maybe one that comes later: a circle."""
    if (node := one(chance, nodes(model))) is None or not node.input:
        return None
    place = chance.randrange(len(node.input))
    node.input[place] = chance.choice([*values(model), "", "nowhere", *node.output])
    return f"{node.op_type} input {place} is {node.input[place]!r}"


@wound
def unwired(chance, model, folder):
    """Inputs or outputs are taken away, doubled or swapped."""
    if (node := one(chance, nodes(model))) is None:
        return None
    field = chance.choice([node.input, node.output])
    names = list(field)
    match chance.randrange(4):
        case 0:
            names = names[: chance.randrange(len(names) + 1)]
        case 1:
            names += names[:1] * chance.choice((1, 2, 40))
        case 2:
            chance.shuffle(names)
        case 3:
            names += [chance.choice(["", "extra", *values(model)])]
    del field[:]
    field.extend(names)
    return f"{node.op_type} has {list(node.input)} -> {list(node.output)}"


@wound
def renamed(chance, model, folder):
    """A tensor is called something strange wherever it stands."""
    old, new = chance.choice(values(model)), word(chance)
    for node in nodes(model):
        for field in (node.input, node.output):
            for place, name in enumerate(field):
                if name == old:
                    field[place] = new
    for entry in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        if entry.name == old:
            entry.name = new
    return f"{old} is called {new[:40]!r}"


@wound
def misnamed(chance, model, folder):
    """One thing has another name than all that speak of it."""
    things = [*nodes(model), *model.graph.input, *model.graph.output, *model.graph.initializer, model.graph]
    thing = chance.choice(things)
    thing.name = chance.choice([word(chance), *values(model)])
    return f"a {type(thing).__name__} is called {thing.name[:40]!r}"


@wound
def without_a_node(chance, model, folder):
    if not model.graph.node:
        return None
    place = chance.randrange(len(model.graph.node))
    gone = model.graph.node.pop(place)
    if chance.happens(0.6) and gone.input and gone.output:
        for node in model.graph.node:
            for at, name in enumerate(node.input):
                if name == gone.output[0]:
                    node.input[at] = gone.input[0]
    return f"{gone.op_type} is gone"


@wound
def doubled_node(chance, model, folder):
    if not model.graph.node:
        return None
    chosen = copied([chance.choice(model.graph.node)])[0]
    if chance.happens(0.7):
        del chosen.output[:]
        chosen.output.append("again")
    model.graph.node.insert(chance.randrange(len(model.graph.node) + 1), chosen)
    return f"{chosen.op_type} stands twice"


@wound
def disordered(chance, model, folder):
    order = copied(model.graph.node)
    chance.shuffle(order)
    del model.graph.node[:]
    model.graph.node.extend(order)
    return "nodes are in disorder"


def some_attributes(chance: Chance, operation: str) -> dict:
    """Return attributes that some operations take."""
    known = {
        "axis": lambda: number(chance),
        "axes": lambda: [chance.choice(MODEST) for _ in range(2)],
        "perm": lambda: chance.choice(([0, 3, 1, 2], [0, 0, 1, 2], [0, 1], [3, 2, 1, 9])),
        "keepdims": lambda: chance.choice((0, 1, 2)),
        "to": lambda: chance.choice(KINDS),
        "kernel_shape": lambda: [chance.choice((1, 2, 3, 0, -1, 2**31)) for _ in range(2)],
        "equation": lambda: chance.choice(("ij,jk->ik", "...i,...i", "bchw->bc", "ii", "", "ab,cd,ef->")),
        "size": lambda: chance.choice((1, 3, 0, -1, 2**31)),
        "blocksize": lambda: chance.choice((1, 2, 3, 0, -1, 2**20)),
        "mode": lambda: chance.choice(("linear", "nearest", "cubic", "reflect", "edge", "wrap", "DCR", "x")),
        "alpha": lambda: real(chance),
        "num_outputs": lambda: chance.choice((1, 2, 3, 0, -1, 1000)),
        "hidden_size": lambda: chance.choice((1, 4, 0, -1)),
    }
    by_operation = {
        "Cast": ["to"], "Einsum": ["equation"], "LRN": ["size"], "MaxPool": ["kernel_shape"], "Concat": ["axis"],
        "DepthToSpace": ["blocksize"], "SpaceToDepth": ["blocksize"], "Transpose": ["perm"], "GRU": ["hidden_size"],
        "LSTM": ["hidden_size"],
    }  # fmt: skip
    chosen = by_operation.get(operation, [])
    chosen = [*chosen, *chance.some(known, 0, 1)]
    return {name: known[name]() for name in chosen}


@wound
def inserted_node(chance, model, folder):
    """Some operation stands between two nodes, with constants of any kind beside."""
    if (node := one(chance, [node for node in model.graph.node if node.input])) is None:
        return None
    place = chance.randrange(len(node.input))
    operation = chance.choice(OPERATIONS)
    extra = []
    for number_ in range(chance.choice((0, 0, 1, 1, 2, 3))):
        name = f"more{number_}.{len(model.graph.initializer)}"
        model.graph.initializer.append(numpy_helper.from_array(array(chance), name))
        extra.append(name)
    first = [node.input[place]] if chance.happens(0.9) else []
    output = f"inserted{len(model.graph.node)}"
    inserted = helper.make_node(operation, [*first, *extra], [output], **some_attributes(chance, operation))
    inserted.domain = chance.choice(("", "", "", "", "com.microsoft", "ai.onnx.ml", "elsewhere"))
    at = next(i for i, other in enumerate(model.graph.node) if other is node or other == node)
    node.input[place] = output
    model.graph.node.insert(at, inserted)
    return f"{inserted.domain}:{operation} stands before {node.op_type}"
