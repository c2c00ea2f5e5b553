"""The two ways in which a command can end badly, the exit status of each, and others' errors as one line."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pydantic import ValidationError

INTERRUPTED: Final = 130
"""Exit status of what a person, or the system, has ended."""


class EdgevidError(Exception):
    """Base of every error whose message is meant for the person at the terminal: one clear line."""

    exit_status = 1


class InputError(EdgevidError):
    """Bad usage or bad input: exit status 2. The message is one line that names the file, the field or the option."""

    exit_status = 2


class CheckFailedError(EdgevidError):
    """The command ran and found that something does not hold (verification, a threshold): exit status 1."""


def one_line(text: str) -> str:
    """`text` with whatever a terminal would obey, a new line above all, told as Python writes it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def first_line(error: BaseException) -> str:
    """The first line of what it says, at most 160 characters; the name of its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]


def first_fault(error: "ValidationError") -> tuple[str, str]:
    """Where a model's first fault is, like `student.shift`, or nothing where it is the whole; and what it is."""
    fault = error.errors()[0]
    what = "unknown key" if fault["type"] == "extra_forbidden" else fault["msg"].removeprefix("Value error, ")
    return ".".join(str(part) for part in fault["loc"]), what
