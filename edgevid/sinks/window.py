"""An OpenCV window with the view drawn over the frames. Main thread only: macOS allows no other."""

import os
import socket
import sys

import cv2

from edgevid.events import Event
from edgevid.notice import Notice
from edgevid.sinks.contract import View
from edgevid.sinks.overlay import draw

TITLE = "edgevid"
_ESCAPE = 27


def has_display() -> bool:
    """Whether a window can be opened here.

    On Linux the X server is asked, since OpenCV's window ends the whole process where there is none. OpenCV's wheels
    speak X only; under Wayland that is XWayland, which sets DISPLAY too.
    """
    if sys.platform == "darwin":
        return "SSH_CONNECTION" not in os.environ
    if sys.platform != "linux":
        return True
    modules = list(sys.modules)
    if "av" in modules and modules.index("av") < modules.index("cv2"):
        # PyAV brings its own libxcb. Loaded before OpenCV's it makes OpenCV's first window hang (PyAV issue 1050).
        return False
    host, _, number = os.environ.get("DISPLAY", "").rpartition(":")
    display = number.partition(".")[0]
    if not display.isdecimal():
        return False
    local = host in ("", "unix")
    try:
        if local:
            with socket.socket(socket.AF_UNIX) as server:
                server.connect(f"/tmp/.X11-unix/X{display}")
        else:
            socket.create_connection((host, 6000 + int(display)), timeout=2).close()
    except OSError:
        return False
    return True


class Window:
    """Draws each view at once; `closed` when the person closed it, or pressed q or Escape."""

    wants_views = True

    def __init__(self) -> None:
        os.environ.setdefault("QT_LOGGING_RULES", "*=false")  # OpenCV's Qt complains about fonts it does not need
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)  # no toolbar
        self._sized = False
        self.closed = False

    def event(self, event: Event) -> None:
        """Events are seen in the next view."""

    def notice(self, notice: Notice) -> None:
        """Faults are seen in the next view."""

    def view(self, view: View) -> None:
        """Draw, and look at the keyboard."""
        if self.closed:
            return
        image = draw(view)
        if view.frame is not None and not self._sized:
            cv2.resizeWindow(TITLE, image.shape[1], image.shape[0])
            self._sized = True
        cv2.imshow(TITLE, image)
        key = cv2.waitKey(1) & 0xFF
        gone = cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1
        self.closed = gone or key in (_ESCAPE, ord("q"))

    def close(self) -> None:
        """Close the window."""
        cv2.destroyAllWindows()
        cv2.waitKey(1)
