"""How a benchmark ends that cannot go on."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

from edgevid.errors import EdgevidError


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """What is wrong with what a person gave is one line and the exit status of the command line."""
    try:
        yield
    except EdgevidError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)
    except subprocess.CalledProcessError as error:  # a command line of ours, which has said why
        print(error.stderr or "", end="", file=sys.stderr)
        sys.exit(error.returncode)
