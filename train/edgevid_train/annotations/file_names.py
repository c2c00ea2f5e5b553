"""Labels from file names by a pattern: a regular expression with a group named `label`, perhaps one named `group`."""

import re
from pathlib import Path

from edgevid.errors import InputError
from edgevid_train.annotations.paths import videos_below
from edgevid_train.annotations.record import ClipRecord


def read_file_names(root: Path, pattern: str) -> list[ClipRecord]:
    """Match `pattern`, a regular expression, at the start of each video's path below `root`, without its ending.

    The label is the group named `label`, or the first group, or what the pattern matched; a group named `group`
    says what must not be split.

    Raises:
        InputError: the pattern is no regular expression, or a video's name does not match it.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"--label-pattern {pattern!r}: {error}") from None
    records = []
    for file in videos_below(root):
        name = file.relative_to(root).as_posix()
        match = compiled.match(name.removesuffix(file.suffix)) or compiled.match(file.stem)
        named = match.groupdict() if match else {}
        label = (named.get("label") or match.group(1 if compiled.groups else 0)) if match else None
        if not label:
            raise InputError(f"{file}: --label-pattern {pattern!r} finds no label in {name!r}")
        records.append(ClipRecord(file, name, (label,), named.get("group") or name))
    return records
