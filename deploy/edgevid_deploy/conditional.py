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
from edgevid_deploy.step import folded, input_names, output_names
from edgevid_train.models.student import Glance, Student

HELD = -1
"""Number of the part that holds, which comes before the first."""
MADE = ("logits", "embedding", "x", "what")
"""What a part makes beside the memory's state, in order."""


class FirstPart(nn.Module):
    """Uint8 frame `(1, H, W, 3)` and every state, to what a glance holds and the state of what no step skips."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, frame: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        before = dict(zip(self.student.state_shapes, state, strict=True))
        glance, shifts = self.student.begin(frame.permute(0, 3, 1, 2).to(torch.float32), before)
        return (*_made(glance), *glance.memory.values(), *shifts.values())

    def example(self) -> tuple[Tensor, ...]:
        spec = self.student.config.input
        frame = torch.zeros(1, spec.height, spec.width, 3, dtype=torch.uint8)
        return (frame, *self.student.zero_state().values())


class NextPart(nn.Module):
    """From exit `i - 1` to exit `i`: the map there, what was seen, the first exit's map where that is another, and the
    memory before the step.
    """

    def __init__(self, student: Student, i: int) -> None:
        super().__init__()
        self.student = student
        self.i = i

    def forward(self, x: Tensor, what: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        finer, *memory = rest if self.i > 1 else (x, *rest)
        before = dict(zip(self.student.memory_states, memory, strict=True))
        glance = Glance(x, finer, what, what, what, before)
        after = self.student.go_on(self.i, glance, before)
        return (*_made(after), *after.memory.values())

    @torch.no_grad()
    def example(self) -> tuple[Tensor, ...]:
        spec, state = self.student.config.input, self.student.zero_state()
        glance, _ = self.student.begin(torch.zeros(1, 3, spec.height, spec.width), state)
        for i in range(1, self.i):
            glance = self.student.go_on(i, glance, state)
        memory = [state[name] for name in self.student.memory_states]
        return (glance.x, glance.what, *([glance.finer] if self.i > 1 else []), *memory)


class HeldPart(nn.Module):
    """The memory before a step that holds, to the step's logits and embedding and the memory after it."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, *memory: Tensor) -> tuple[Tensor, ...]:
        logits, embedding, after = self.student.hold(dict(zip(self.student.memory_states, memory, strict=True)))
        return (logits, embedding, *after.values())

    def example(self) -> tuple[Tensor, ...]:
        state = self.student.zero_state()
        return tuple(state[name] for name in self.student.memory_states)


def _made(glance: Glance) -> tuple[Tensor, ...]:
    return glance.logits, glance.embedding, glance.x, glance.what


Exporter = Callable[[nn.Module, tuple[Tensor, ...], list[str], list[str]], ModelProto]
"""Module, example, names of inputs and outputs -> a stripped ONNX model."""


def conditional_graph(student: Student, manifest: Manifest, to_onnx: Exporter) -> ModelProto:
    """The whole stream graph of a `conditional` manifest, without metadata."""
    student = folded(student)
    memory, shifts = list(student.memory_states), [n for n in student.state_shapes if n not in student.memory_states]

    def exported(part: FirstPart | NextPart | HeldPart, i: int, takes: list[str], gives: list[str]) -> ModelProto:
        model = to_onnx(part.eval(), part.example(), takes, gives)
        _own_names(model.graph, i, keep={*takes, *gives})
        return model

    parts: list[GraphProto] = []
    for i in range(len(manifest.exits)):
        part = FirstPart(student) if i == 0 else NextPart(student, i)
        gives = [_of(i, name) for name in (*MADE, *(f"next_{name}" for name in memory))]
        if i == 0:
            takes = ["frame", *student.state_shapes]
            gives += [f"next_{name}" for name in shifts]  # of what no step skips: straight out
        else:
            takes = [_of(i - 1, "x"), _of(i - 1, "what"), *([_of(0, "x")] if i > 1 else []), *memory]
        parts.append(exported(part, i, takes, gives).graph)
    held_gives = [_of(HELD, name) for name in ("logits", "embedding", *(f"next_{name}" for name in memory))]
    model = exported(HeldPart(student), HELD, memory, held_gives)
    held = model.graph
    shared = _share([*parts, held])

    body = _Body(manifest, memory, parts)
    nodes, weights, made = body.of(0)
    next_shifts = [f"next_{name}" for name in shifts]
    outputs = [*made, *(body.like(name, name) for name in next_shifts)]
    look = helper.make_graph(nodes, "look", [], outputs, weights)
    last = len(manifest.exits) - 1
    stopped = body.stop(last, [*body.names(0), *next_shifts], [*body.sources(HELD), *shifts])
    hold = helper.make_graph([*held.node, *stopped], "hold", [], outputs, held.initializer)
    asked = [value.name for value in outputs]
    nodes = [helper.make_node("If", ["hold"], asked, then_branch=hold, else_branch=look)]
    extra = [
        helper.make_tensor_value_info("hold", TensorProto.BOOL, [1]),
        *(helper.make_tensor_value_info(f"threshold_{e.name}", TensorProto.FLOAT, [1]) for e in manifest.exits[:-1]),
    ]
    known = {value.name: value for value in (*parts[0].input, *extra, *outputs)}
    graph = helper.make_graph(
        nodes,
        manifest.name,
        [known[name] for name in input_names(manifest)],
        [known[name] for name in output_names(manifest)],
        shared,
    )
    opsets = [helper.make_opsetid("", model.opset_import[0].version)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=model.ir_version)


class _Body:
    """Nodes of the parts from number i on, as they stand inside the question before them."""

    def __init__(self, manifest: Manifest, memory: Sequence[str], parts: Sequence[GraphProto]) -> None:
        self.exits = [spec.name for spec in manifest.exits]
        self.activation = manifest.activation
        self.memory = memory
        self.parts = parts
        self.types = {value.name: value for part in parts for value in part.output}

    def of(self, i: int) -> tuple[list[NodeProto], list[TensorProto], list[ValueInfoProto]]:
        """Nodes, weights and outputs: logits of exit i and all later ones, embedding, memory's next state, `exit`."""
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
        return [
            *(f"logits_{name}" for name in self.exits[i:]),
            "embedding",
            *(f"next_{name}" for name in self.memory),
        ]

    def sources(self, i: int) -> list[str]:
        """What part i gives for each of `names(i)`; its logits stand for those of exits that are not computed.

        Of the part that holds: for each of `names(0)`.
        """
        later = [_of(i, "logits")] * (len(self.exits) - max(i, 0))
        return [*later, _of(i, "embedding"), *(_of(i, f"next_{name}") for name in self.memory)]

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
    return f"held/{name}" if i == HELD else f"part{i}/{name}"


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
