"""The outputs of modules by path, while a network runs."""

import contextlib
import difflib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import Tensor, nn

from edgevid.errors import InputError

NEAR = 4
"""Paths that are named where one does not exist."""


def module_at(network: nn.Module, path: str, whose: str) -> nn.Module:
    """Raises InputError, which names paths like it, when there is none."""
    modules: dict[str, nn.Module] = dict(network.named_modules())
    if path in modules:
        return modules[path]
    parent = path
    while parent and parent not in modules:
        parent = parent.rpartition(".")[0]
    beside = [f"{parent}.{name}".lstrip(".") for name, _ in modules[parent].named_children()]
    near = [name for name in difflib.get_close_matches(path, modules, NEAR, 0.7) if name not in beside]
    names = ", ".join([*beside, *near][: 3 * NEAR])
    raise InputError(f"distill.taps: the {whose} has no module {path!r}; near it are {names}")


@contextlib.contextmanager
def listening(network: nn.Module, paths: Iterable[str], whose: str) -> Iterator[dict[str, Any]]:
    """Gets what the modules at `paths` give, until the end of the block; of one that runs twice, the second time's."""
    heard: dict[str, Any] = {}

    def keep(path: str) -> Callable[..., None]:
        return lambda _module, _inputs, output: heard.__setitem__(path, output)

    with contextlib.ExitStack() as hooks:
        for path in dict.fromkeys(paths):
            hooks.callback(module_at(network, path, whose).register_forward_hook(keep(path)).remove)
        yield heard


def heard_of(heard: dict[str, Any], path: str, whose: str) -> Any:
    """Raises InputError when the module at `path` was not run."""
    if path not in heard:
        raise InputError(f"distill.taps: the {whose} has a module {path!r}, but does not run it as such")
    return heard[path]


def first_tensor(value: Any) -> Tensor | None:
    """Of what a module gave: itself, or the first of several."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list) and value and isinstance(value[0], Tensor):
        return value[0]
    return None
