"""A drawn clip's group is its seed: so it is known again, and can be drawn again."""

import re


def group_of(seed: int) -> str:
    return f"seed-{seed}"


def seed_of(group: str) -> int | None:
    """The seed in a drawn clip's group; None of any other."""
    match = re.fullmatch(r"seed-(\d{1,20})", group)
    return None if match is None else int(match[1])
