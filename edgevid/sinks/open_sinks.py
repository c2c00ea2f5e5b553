"""All the sinks of one run together: what is given events, what is shown, and whether one of them wants to stop."""

from collections.abc import Callable

from edgevid.sinks.contract import View
from edgevid.sinks.keyboard import Keyboard
from edgevid.sinks.queued import GIVE_UP_S, QueuedSink
from edgevid.sinks.window import Window

LOOK_EVERY_S = 0.1
DRAW_EVERY_S = 1 / 30


class OpenSinks:
    """The queued sinks, which take events and views on threads of their own, and the window, drawn by the main one.

    `keyboard` is that of the terminal in which one of the sinks draws.
    """

    def __init__(self, queues: list[QueuedSink], window: Window | None, keyboard: Keyboard | None = None) -> None:
        self.queues = queues
        self._window = window
        self._keyboard = keyboard
        self._shown = any(queue.wants_views for queue in queues) or window is not None
        self.every_s = DRAW_EVERY_S if window else LOOK_EVERY_S

    def look(self, view: Callable[[bool], View]) -> bool:
        """Show what there is now; `view(with_frame)` makes it, if anyone looks. Main thread only.

        Returns: whether to go on. No, when a person ended it in the window or in the terminal, or a sink has failed.
        """
        if self._keyboard:
            self._keyboard.look()
        if self._shown:
            now = view(self._window is not None)
            for queue in self.queues:
                queue.view(now)
            if self._window:
                self._window.view(now)
        closed = any(screen is not None and screen.closed for screen in (self._window, self._keyboard))
        return not closed and all(queue.error is None for queue in self.queues)

    def close(self, *, interrupted: bool) -> None:
        """Wait until everything is written; not for ever once the person has interrupted."""
        try:
            for queue in self.queues:
                queue.close(GIVE_UP_S if interrupted else None)
        finally:
            if self._keyboard:
                self._keyboard.close()
        if self._window:
            self._window.close()

    def check(self) -> None:
        """Raises InputError when a sink could not write everything."""
        for queue in self.queues:
            queue.check()
