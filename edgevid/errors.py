"""The two ways in which a command can end badly, and the exit status of each."""


class EdgevidError(Exception):
    """Base of every error whose message is meant for the person at the terminal: one clear line."""

    exit_status = 1


class InputError(EdgevidError):
    """Bad usage or bad input: exit status 2. The message is one line that names the file, the field or the option."""

    exit_status = 2


class CheckFailedError(EdgevidError):
    """The command ran and found that something does not hold (verification, a threshold): exit status 1."""
