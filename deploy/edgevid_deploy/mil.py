"""A Core ML package run without Core ML: its own ML program, with its own weights, computed op by op in torch.

The program (MIL) is the one that the package holds, read back by coremltools after it was saved, and every op of it is
computed as it is stored: what the conversion changed, dropped or mixed up shows. The weights are the stored numbers, in
an fp16 package those rounded to 11 bits, and what leaves a step is rounded to the type that the package declares for
it. In between everything is float32. A phone computes an fp16 package in float16, on a CPU, GPU or Neural Engine, each
of which rounds, and overflows, in its own way: nothing here says by how much that differs.

Ops are known as far as `edgevid export` writes them. Everything else is refused by name, not guessed.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from edgevid.errors import InputError, first_line
from edgevid.frame import Pixels
from edgevid.manifest import HoldRule, Manifest
from edgevid.models.contract import Outputs, State
from edgevid_deploy.coreml import Precision, quiet, read_spec
from edgevid_deploy.step import input_names, output_names

WEIGHTS: Final = Path("Data", "com.apple.CoreML", "weights")
"""Where a package keeps them."""
_TYPES: Final = {"float16": torch.float16, "float32": torch.float32}


class MilStream:
    """The contract `edgevid.models.contract.StreamModel`, computed from a package's program. Every exit is computed."""

    def __init__(self, function: Any, manifest: Manifest, where: str) -> None:
        """`function`: coremltools' view of the program's `main`. `where` names the package in messages."""
        self.manifest = manifest
        self._where = where
        self._shape = (manifest.input.height, manifest.input.width, 3)
        self._number = _TYPES[manifest.states[0].dtype if manifest.states else "float16"]
        self._ops = [op for op in function.operations if op.op_type != "const"]
        values = {op.outputs[0].name: op.outputs[0].val for op in function.operations if op.op_type == "const"}
        self._constants = {name: _tensor(value) for name, value in values.items() if _is_numeric(value)}
        half = any(np.asarray(value).dtype == np.float16 for value in values.values())
        self.precision: Precision = "fp16" if half else "fp32"

    def with_thresholds(self, thresholds: Sequence[float | None]) -> Self:
        """The same program under a manifest with these thresholds, one for each exit; it stops at none of them."""
        return self._under(self.manifest.with_thresholds(thresholds))

    def with_hold(self, rule: HoldRule) -> Self:
        """The same program under a manifest with this rule."""
        return self._under(self.manifest.with_hold(rule))

    def _under(self, manifest: Manifest) -> Self:
        other = copy.copy(self)  # nothing in the program changes with a step
        other.manifest = manifest
        return other

    def zero_state(self) -> State:
        """The state at the start of a stream, in the dtype that the package takes."""
        return {s.name: np.zeros(s.shape, s.dtype) for s in self.manifest.states}

    @torch.inference_mode()
    def step(self, pixels: Pixels, state: State) -> tuple[Outputs, State]:
        """One frame, uint8 `(height, width, 3)`, as the package's RGB image; neither argument is changed or kept.

        Raises:
            ValueError: the pixels have another shape or dtype, or the state is not this model's.
            InputError: an op cannot be computed as it is stored.
        """
        if pixels.shape != self._shape or pixels.dtype != np.uint8:
            raise ValueError(f"the model takes uint8 {self._shape}, not {pixels.dtype} {pixels.shape}")
        names = [s.name for s in self.manifest.states]
        if set(state) != set(names):
            raise ValueError(f"the model's states are {names}, not {list(state)}")
        frame = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None]
        values = self._run({"frame": frame.float(), **{name: _tensor(state[name]) for name in names}})
        given = [values[name].to(self._number).numpy() for name in output_names(self.manifest)]
        exits = len(self.manifest.exits)
        logits = np.concatenate(given[:exits]).astype(np.float32)
        return Outputs(logits, given[exits][0].astype(np.float32)), dict(zip(names, given[exits + 1 :], strict=True))

    def hold(self, state: State) -> tuple[Outputs, State]:  # noqa: ARG002 (of the contract)
        """Not of a package: it has no control flow.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"{self.manifest.id} looks at every frame")

    def _run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Every value of the program, by its name, for one step's inputs."""
        values = {**self._constants, **inputs}
        for op in self._ops:
            try:
                made = _OPS[op.op_type](Given(op.inputs, values))
                results = [made] if isinstance(made, Tensor) else made
                for declared, result in zip(op.outputs, results, strict=True):
                    if tuple(result.shape) != tuple(declared.shape):
                        raise ValueError(f"it gives {tuple(result.shape)}, the program says {tuple(declared.shape)}")
                    values[declared.name] = result
            except (RuntimeError, ValueError, TypeError, LookupError) as error:  # of torch, for what is not possible
                raise InputError(f"{self._where}: op {op.op_type} {op.name!r}: {first_line(error)}") from None
        return values


def open_package(path: Path, manifest: Manifest) -> MilStream:
    """A model of the package at `path`, which `check_package` found to fit `manifest`; it has taken a step.

    Raises:
        InputError: coremltools cannot read the program, it holds an op that is not known here, or a known one with
            parameters that are not, or its inputs and outputs are not the manifest's.
    """
    spec = read_spec(path)
    _check_ops(spec.mlProgram, path)
    from coremltools.converters.mil.frontend.milproto.load import load

    try:
        with quiet():
            program = load(spec, spec.specificationVersion, str(path / WEIGHTS))
    except Exception as error:  # of coremltools; they share no base class
        raise InputError(f"{path}: coremltools cannot read its program: {first_line(error)}") from None
    function = program.functions["main"]
    for what, has, wants in (
        ("input", list(function.inputs), input_names(manifest)),
        ("output", [output.name for output in function.outputs], output_names(manifest)),
    ):
        if set(has) != set(wants):
            name = min(set(has) ^ set(wants))
            raise InputError(f"{path}: manifest and program do not fit: {what} {name!r} is only in one of them")
    model = MilStream(function, manifest, str(path))
    model.step(np.zeros((manifest.input.height, manifest.input.width, 3), np.uint8), model.zero_state())
    return model


def _check_ops(program: Any, path: Path) -> None:
    """Name the first op that is not known, before coremltools, which knows others, is asked to read them."""
    blocks = [block for function in program.functions.values() for block in function.block_specializations.values()]
    if list(program.functions) != ["main"] or len(blocks) != 1:
        raise InputError(f"{path}: expected a program of one function, main, in one form")
    for op in blocks[0].operations:
        if op.type != "const" and op.type not in _OPS:
            raise InputError(f"{path}: op {op.type!r} is not one that is known here, so it cannot be run")


def _is_numeric(value: Any) -> bool:
    return np.asarray(value).dtype.kind in "fiub"


def _tensor(value: Any) -> Tensor:
    """A stored number or array in the type that it is computed in: float32, int64 or bool."""
    array = np.asarray(value)
    kinds: dict[str, type[np.generic]] = {"f": np.float32, "b": np.bool_}
    return torch.from_numpy(array.astype(kinds.get(array.dtype.kind, np.int64)))


class Given:
    """What one op is given, by the names of its inputs: tensors of this step, and parameters, which are constants."""

    def __init__(self, inputs: Mapping[str, Any], values: Mapping[str, Tensor]) -> None:
        self._inputs = {name: value for name, value in inputs.items() if value is not None}
        self._values = values

    def tensor(self, name: str = "x") -> Tensor:
        return self._values[self._inputs[name].name]

    def tensor_or_none(self, name: str) -> Tensor | None:
        return self.tensor(name) if name in self._inputs else None

    def tensors(self, name: str) -> list[Tensor]:
        return [self._values[value.name] for value in self._inputs[name]]

    def parameter(self, name: str, default: Any = None) -> Any:
        """A number, a text or an array. Without a `default` it must be there.

        Raises:
            ValueError: it is not, or it is computed by another op.
        """
        if name not in self._inputs:
            if default is None:
                raise ValueError(f"{name} is missing")
            return default
        if (value := self._inputs[name].val) is None:
            raise ValueError(f"{name} is no constant")
        return value

    def integer(self, name: str, default: int | None = None) -> int:
        return int(self.parameter(name, default))

    def flag(self, name: str) -> bool:
        return bool(self.parameter(name, False))

    def integers(self, name: str, default: Sequence[int] | None = None) -> list[int]:
        return [int(value) for value in self.parameter(name, default)]

    def expect(self, name: str, *known: Any) -> Any:
        """A parameter that is one of `known`, the first of them where it is not given. Raises ValueError otherwise."""
        value = self.parameter(name, known[0])
        if value not in known:
            raise ValueError(f"{name} {str(value)!r} is not known here")
        return value


def _add(given: Given) -> Tensor:
    return given.tensor() + given.tensor("y")


def _cast(given: Given) -> Tensor:
    """Between types of floating point: all are computed as float32."""
    given.expect("dtype", "fp16", "fp32")
    return given.tensor().float()


def _clip(given: Given) -> Tensor:
    return given.tensor().clamp(float(given.parameter("alpha")), float(given.parameter("beta")))


def _concat(given: Given) -> Tensor:
    given.expect("interleave", False)
    return torch.cat(given.tensors("values"), given.integer("axis"))


def _conv(given: Given) -> Tensor:
    """`x` `(N, C, *space)` and `weight` `(D, C / groups, *kernel)`, over one or two dimensions of space."""
    x, weight = given.tensor(), given.tensor("weight")
    space = weight.dim() - 2
    if given.expect("pad_type", "valid", "custom") == "custom":
        x = functional.pad(x, _torch_pads(given.integers("pad")))
    over: Callable[..., Tensor] = {1: functional.conv1d, 2: functional.conv2d}[space]
    return over(
        x,
        weight,
        given.tensor_or_none("bias"),
        stride=given.integers("strides", [1] * space),
        dilation=given.integers("dilations", [1] * space),
        groups=given.integer("groups", 1),
    )


def _expand_dims(given: Given) -> Tensor:
    x, axes = given.tensor(), given.integers("axes")
    for axis in sorted(axis % (x.dim() + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _gather(given: Given) -> Tensor:
    given.expect("batch_dims", 0)
    x = given.tensor()
    every: tuple[slice | Tensor, ...] = (slice(None),) * (given.integer("axis", 0) % x.dim())
    return x[(*every, given.tensor("indices"))]


def _linear(given: Given) -> Tensor:
    return functional.linear(given.tensor(), given.tensor("weight"), given.tensor_or_none("bias"))


def _matmul(given: Given) -> Tensor:
    x, y = given.tensor(), given.tensor("y")
    return (x.mT if given.flag("transpose_x") else x) @ (y.mT if given.flag("transpose_y") else y)


def _max_pool(given: Given) -> Tensor:
    """Of `(N, C, H, W)`. What is padded is never the largest, which torch has within its pooling only."""
    kernel, pad_type = given.integers("kernel_sizes"), given.expect("pad_type", "valid", "custom")
    given.expect("ceil_mode", False)
    x = given.tensor()
    if pad_type == "custom":
        x = functional.pad(x, _torch_pads(given.integers("pad")), value=-torch.inf)
    return functional.max_pool2d(x, kernel, given.integers("strides", [1] * len(kernel)))


def _mul(given: Given) -> Tensor:
    return given.tensor() * given.tensor("y")


def _pad(given: Given) -> Tensor:
    given.expect("mode", "constant")
    value = float(given.parameter("constant_val", 0.0))
    return functional.pad(given.tensor(), _torch_pads(given.integers("pad")), value=value)


def _torch_pads(pads: Sequence[int]) -> list[int]:
    """From before and after each dimension, as MIL lists them, to the last dimension first, as torch does."""
    return [pads[place + side] for place in reversed(range(0, len(pads), 2)) for side in (0, 1)]


def _reduce_mean(given: Given) -> Tensor:
    return given.tensor().mean(_axes(given), keepdim=given.flag("keep_dims"))


def _reduce_sum(given: Given) -> Tensor:
    return given.tensor().sum(_axes(given), keepdim=given.flag("keep_dims"))


def _axes(given: Given) -> list[int]:
    return given.integers("axes", range(given.tensor().dim()))


def _relu(given: Given) -> Tensor:
    return given.tensor().relu()


def _reshape(given: Given) -> Tensor:
    return given.tensor().reshape(given.integers("shape"))


def _sigmoid(given: Given) -> Tensor:
    return given.tensor().sigmoid()


def _slice_by_index(given: Given) -> Tensor:
    """A mask says of each dimension whether its `begin` or `end` counts for nothing, or whether it is left out."""
    x = given.tensor()
    begin, end, stride = given.integers("begin"), given.integers("end"), given.integers("stride", [1] * x.dim())
    from_first, to_last, left_out = (
        given.parameter(f"{name}_mask", [False] * x.dim()) for name in ("begin", "end", "squeeze")
    )
    parts: list[int | slice] = [
        begin[i]
        if left_out[i]
        else slice(None if from_first[i] else begin[i], None if to_last[i] else end[i], stride[i])
        for i in range(x.dim())
    ]
    return x[tuple(parts)]


def _softmax(given: Given) -> Tensor:
    return given.tensor().softmax(given.integer("axis", -1))


def _split(given: Given) -> Sequence[Tensor]:
    x, axis = given.tensor(), given.integer("axis")
    parts = given.integer("num_splits", 1)
    return torch.split_with_sizes(x, given.integers("split_sizes", [x.shape[axis] // parts] * parts), axis)


def _sub(given: Given) -> Tensor:
    return given.tensor() - given.tensor("y")


def _tile(given: Given) -> Tensor:
    return given.tensor().repeat(given.integers("reps"))


def _transpose(given: Given) -> Tensor:
    return given.tensor().permute(given.integers("perm"))


def _upsample_nearest_neighbor(given: Given) -> Tensor:
    """Of `(N, C, H, W)`, by whole factors: which of two neighbours is nearest is then no question of rounding."""
    x = given.tensor()
    for name, axis in (("scale_factor_height", -2), ("scale_factor_width", -1)):
        factor = float(given.parameter(name, 1))
        if not factor.is_integer():
            raise ValueError(f"{name} {factor:g} is not known here")
        x = x.repeat_interleave(int(factor), axis)
    return x


_OPS: Final[dict[str, Callable[[Given], Tensor | Sequence[Tensor]]]] = {
    "add": _add,
    "cast": _cast,
    "clip": _clip,
    "concat": _concat,
    "conv": _conv,
    "expand_dims": _expand_dims,
    "gather": _gather,
    "linear": _linear,
    "matmul": _matmul,
    "max_pool": _max_pool,
    "mul": _mul,
    "pad": _pad,
    "reduce_mean": _reduce_mean,
    "reduce_sum": _reduce_sum,
    "relu": _relu,
    "reshape": _reshape,
    "sigmoid": _sigmoid,
    "slice_by_index": _slice_by_index,
    "softmax": _softmax,
    "split": _split,
    "sub": _sub,
    "tile": _tile,
    "transpose": _transpose,
    "upsample_nearest_neighbor": _upsample_nearest_neighbor,
}
