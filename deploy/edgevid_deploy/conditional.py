"""The stream graph as one ONNX graph that stops at the first exit that is sure: an `If` around what comes after each.

The parts of a step (`Student.begin`, `Student.go_on`) are exported one by one, each by the same exporter as a whole
graph, and then put into each other: part i + 1 is the else branch of the question whether exit i is sure. All of them
are the else branch of the question whether the step only holds (`Student.hold`). Weights lie in the branch that uses
them, where ONNX Runtime packs them; the memory's, which every part uses, lie once outside.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import torch
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper
from torch import Tensor, nn

from edgevid.manifest import Manifest
from edgevid_deploy.step import input_names, output_names
from edgevid_train.models.folding import folded
from edgevid_train.models.student import MEMORY, Glance, Student

HELD, AFTER = -1, -2
OTHERS = {HELD: "held", AFTER: "after"}
"""Parts that do not look, by their numbers: the one that holds, and the one that moves the memory's state on."""
MADE = ("logits", "embedding", "x", "what", "kept")
"""What every part that looks makes, in order; see `Glance`."""


class FirstPart(nn.Module):
    """Uint8 frame `(1, H, W, 3)` and every state, to what a glance holds and the state of what no step skips."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, frame: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        before = dict(zip(self.student.state_shapes, state, strict=True))
        glance, shifts = self.student.begin(frame.permute(0, 3, 1, 2).to(torch.float32), before)
        return (*_made(glance), glance.recalled, *shifts.values())

    def example(self) -> tuple[Tensor, ...]:
        spec = self.student.config.input
        frame = torch.zeros(1, spec.height, spec.width, 3, dtype=torch.uint8)
        return (frame, *self.student.zero_state().values())


class NextPart(nn.Module):
    """From exit `i - 1` to exit `i`: takes the map there, what was seen, what the past adds, and the first exit's map
    where that is another.
    """

    def __init__(self, student: Student, i: int) -> None:
        super().__init__()
        self.student = student
        self.i = i

    def forward(self, x: Tensor, what: Tensor, recalled: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        (finer,) = rest or (x,)
        return _made(self.student.go_on(self.i, Glance(x, finer, what, recalled, what, what, what)))

    @torch.no_grad()
    def example(self) -> tuple[Tensor, ...]:
        spec, state = self.student.config.input, self.student.zero_state()
        glance, _ = self.student.begin(torch.zeros(1, 3, spec.height, spec.width), state)
        for i in range(1, self.i):
            glance = self.student.go_on(i, glance)
        return (glance.x, glance.what, glance.recalled, *([glance.finer] if self.i > 1 else []))


class HeldPart(nn.Module):
    """The memory's state to logits, embedding and what is kept of a step that holds."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.memory = student.memory

    def forward(self, state: Tensor) -> tuple[Tensor, ...]:
        return self.memory.hold(state)


class AfterPart(nn.Module):
    """The memory's state and what is kept of a step to the state after it."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.memory = student.memory

    def forward(self, state: Tensor, kept: Tensor) -> Tensor:
        return self.memory.remember.after(state, kept)


def _made(glance: Glance) -> tuple[Tensor, ...]:
    return glance.logits, glance.embedding, glance.x, glance.what, glance.kept


Tensors = tuple[Tensor, ...]
Exporter = Callable[[nn.Module, Tensors, list[str], list[str]], ModelProto]
"""Module, example, names of inputs and outputs -> a stripped ONNX model."""


def conditional_graph(student: Student, manifest: Manifest, to_onnx: Exporter) -> ModelProto:
    """The whole stream graph of a `conditional` manifest, without metadata."""
    student = folded(student)
    zeros, shifts = student.zero_state(), [name for name in student.state_shapes if name != MEMORY]

    def exported(part: nn.Module, example: Tensors, i: int, takes: list[str], gives: list[str]) -> ModelProto:
        model = to_onnx(part.eval(), example, takes, gives)
        _own_names(model.graph, i, keep={*takes, *gives})
        return model

    parts: list[GraphProto] = []
    for i in range(len(manifest.exits)):
        part = FirstPart(student) if i == 0 else NextPart(student, i)
        gives = [_of(i, name) for name in MADE]
        if i == 0:
            takes = ["frame", *student.state_shapes]
            gives += [_of(0, "recalled"), *(f"next_{name}" for name in shifts)]  # of what no step skips: straight out
        else:
            takes = [_of(i - 1, "x"), _of(i - 1, "what"), _of(0, "recalled"), *([_of(0, "x")] if i > 1 else [])]
        parts.append(exported(part, part.example(), i, takes, gives).graph)
    gives = [_of(HELD, name) for name in ("logits", "embedding", "kept")]
    held = exported(HeldPart(student), (zeros[MEMORY],), HELD, [MEMORY], gives).graph
    shared = _share([*parts, held])
    kept = torch.zeros(1, len(student.config.dilations), student.config.size)
    after = exported(AfterPart(student), (zeros[MEMORY], kept), AFTER, [MEMORY, "kept"], [f"next_{MEMORY}"])

    body = _Body(manifest, parts)
    nodes, weights, made = body.of(0)
    next_shifts = [f"next_{name}" for name in shifts]
    outputs = [*made, *(body.like(name, name) for name in next_shifts)]
    look = helper.make_graph(nodes, "look", [], outputs, weights)
    last = len(manifest.exits) - 1
    stopped = body.stop(last, [*body.names(0), *next_shifts], [*body.sources(HELD), *shifts])
    hold = helper.make_graph([*held.node, *stopped], "hold", [], outputs, held.initializer)
    asked = [value.name for value in outputs]
    nodes = [helper.make_node("If", ["hold"], asked, then_branch=hold, else_branch=look), *after.graph.node]
    extra = [
        helper.make_tensor_value_info("hold", TensorProto.BOOL, [1]),
        *(helper.make_tensor_value_info(f"threshold_{e.name}", TensorProto.FLOAT, [1]) for e in manifest.exits[:-1]),
    ]
    known = {value.name: value for value in (*parts[0].input, *extra, *outputs, *after.graph.output)}
    graph = helper.make_graph(
        nodes,
        manifest.name,
        [known[name] for name in input_names(manifest)],
        [known[name] for name in output_names(manifest)],
        [*shared, *after.graph.initializer],
    )
    opsets = [helper.make_opsetid("", after.opset_import[0].version)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=after.ir_version)


class _Body:
    """Nodes of the parts from number i on, as they stand inside the question before them."""

    def __init__(self, manifest: Manifest, parts: Sequence[GraphProto]) -> None:
        self.exits = [spec.name for spec in manifest.exits]
        self.activation = manifest.activation
        self.parts = parts
        self.types = {value.name: value for part in parts for value in part.output}

    def of(self, i: int) -> tuple[list[NodeProto], list[TensorProto], list[ValueInfoProto]]:
        """Nodes, weights and outputs: logits of exit i and all later ones, embedding, what is kept, `exit`."""
        part, names, sources = self.parts[i], self.names(i), self.sources(i)
        values = [self.like(name, source) for name, source in zip(names, sources, strict=True)]
        values.append(helper.make_tensor_value_info("exit", TensorProto.INT64, [1]))
        own = [*part.node, helper.make_node("Identity", [sources[0]], [names[0]])]
        stopped = self.stop(i, names[1:], sources[1:])
        if i == len(self.exits) - 1:
            return [*own, *stopped], list(part.initializer), values
        sure = f"sure_{self.exits[i]}"
        own += [
            *self.surest(i),
            helper.make_node("GreaterOrEqual", [_of(i, "best"), f"threshold_{self.exits[i]}"], [sure]),
        ]
        nodes, weights, inner = self.of(i + 1)
        on = helper.make_graph(nodes, f"on_to_{self.exits[i + 1]}", [], inner, weights)
        asked = [value.name for value in inner]
        stop = helper.make_graph(stopped, f"stop_at_{self.exits[i]}", [], inner)
        own.append(helper.make_node("If", [sure], asked, then_branch=stop, else_branch=on))
        return own, list(part.initializer), values

    def surest(self, i: int) -> list[NodeProto]:
        """How sure exit i is, as `edgevid.cascade.sureness` says it; the greater of p and 1 - p is that of |z|."""
        logits, scores, best = (_of(i, name) for name in ("logits", "scores", "best"))
        if self.activation == "sigmoid":
            return [
                helper.make_node("Abs", [logits], [_of(i, "distance")]),
                helper.make_node("Sigmoid", [_of(i, "distance")], [scores]),
                helper.make_node("ReduceMin", [scores], [best], keepdims=0),
            ]
        return [
            helper.make_node("Softmax", [logits], [scores], axis=1),
            helper.make_node("ReduceMax", [scores], [best], keepdims=0),
        ]

    def names(self, i: int) -> list[str]:
        return [*(f"logits_{name}" for name in self.exits[i:]), "embedding", "kept"]

    def sources(self, i: int) -> list[str]:
        """What part i gives for each of `names(i)`; its logits stand for those of exits that are not computed.

        Of the part that holds: for each of `names(0)`.
        """
        later = [_of(i, "logits")] * (len(self.exits) - max(i, 0))
        return [*later, _of(i, "embedding"), _of(i, "kept")]

    def stop(self, i: int, names: Sequence[str], sources: Sequence[str]) -> list[NodeProto]:
        same = [helper.make_node("Identity", [source], [name]) for name, source in zip(names, sources, strict=True)]
        index = helper.make_tensor("", TensorProto.INT64, [1], [i])
        return [*same, helper.make_node("Constant", [], ["exit"], value=index)]

    def like(self, name: str, source: str) -> ValueInfoProto:
        value = ValueInfoProto()
        value.CopyFrom(self.types[source])
        value.name = name
        return value


def graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """A graph and all that stand in its branches."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from graphs(attribute.g)


def _of(i: int, name: str) -> str:
    return f"{OTHERS.get(i, f'part{i}')}/{name}"


def _own_names(graph: GraphProto, i: int, keep: set[str]) -> None:
    """Everything inside a part is called after it: names of parts that stand in each other must differ."""

    def named(name: str) -> str:
        return name if not name or name in keep else _of(i, f"inner/{name}")

    for node in graph.node:
        node.input[:] = [named(name) for name in node.input]
        node.output[:] = [named(name) for name in node.output]
        node.name = _of(i, node.name)
    for tensor in graph.initializer:
        tensor.name = named(tensor.name)


def _share(parts: Sequence[GraphProto]) -> list[TensorProto]:
    """Take weights that more than one part has out of them, once each, and let the parts use these."""

    def key(tensor: TensorProto) -> bytes:
        content = TensorProto()
        content.CopyFrom(tensor)
        content.name = ""
        return bytes(content.SerializeToString(deterministic=True))

    counts = Counter(key(tensor) for part in parts for tensor in part.initializer)
    shared: dict[bytes, TensorProto] = {}
    for part in parts:
        renamed: dict[str, str] = {}
        tensors = list(part.initializer)
        part.ClearField("initializer")
        for tensor in tensors:
            content = key(tensor)
            if counts[content] == 1:
                part.initializer.append(tensor)
            else:
                renamed[tensor.name] = shared.setdefault(content, tensor).name
        for node in part.node:
            node.input[:] = [renamed.get(name, name) for name in node.input]
    return list(shared.values())
