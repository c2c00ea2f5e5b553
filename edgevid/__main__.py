"""`python -m edgevid`."""

from edgevid.cli import main

main()
