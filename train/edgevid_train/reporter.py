"""What a person sees of a command while it works."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class LastingConsole(Console):
    """A console whose reader may go: what a command still has to do, saving above all, does not end with `| head`."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Reporter:
    """Lines for people, and a bar where there is a terminal to draw it on.

    `console`: standard output, whose reader may go, unless given.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = LastingConsole() if console is None else console

    def say(self, line: str) -> None:
        """Print one line as it is: a clip called `[red]` is no colour, and lines are not broken."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def bar(self, title: str, total: int, done: int = 0) -> Iterator[Callable[[str], None]]:
        """Give a function that advances the bar by one and shows a text beside it."""
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}", markup=False),
        )
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            task = progress.add_task(title, total=total, completed=done, text="")
            yield lambda text: progress.update(task, advance=1, text=text)
