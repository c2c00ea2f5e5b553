"""The `edgevid` command, and `python -m edgevid`."""

import signal


def main() -> None:
    """Entry point. What ends a program ends it in silence even while its modules are being imported."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from edgevid.cli import main as run

    run()


if __name__ == "__main__":
    main()
