"""Labels from file names by a pattern: a regular expression with a group named `label`, perhaps one named `group`."""

import re
from pathlib import Path

from edgevid.errors import InputError
from edgevid_train.annotations.entry import shown
from edgevid_train.annotations.paths import videos_below
from edgevid_train.annotations.record import ClipRecord


def read_file_names(root: Path, pattern: str) -> list[ClipRecord]:
    """Match `pattern`, a regular expression, at the start of each video's path below `root`, without its ending.

    The label is the group named `label`, or the first that is not named `group`, or, without groups, what the pattern
    matched; a group named `group` says what must not be split.

    Raises:
        InputError: the pattern is no regular expression, or a video's name does not match it.
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(f"--label-pattern {shown(pattern)}: {error}") from None
    names = compiled.groupindex
    others = [number for number in range(1, compiled.groups + 1) if number != names.get("group")]
    if compiled.groups and not others:
        raise InputError(
            f"--label-pattern {shown(pattern)}: its only group says what must not be split, none says the label"
        )
    which = names.get("label", others[0] if others else 0)
    records = []
    for file in videos_below(root):
        name = file.relative_to(root).as_posix()
        match = compiled.match(name.removesuffix(file.suffix)) or compiled.match(file.stem)
        label = match[which] if match else None
        group = match["group"] if match and "group" in names else None
        if not label:
            raise InputError(f"{file}: --label-pattern {shown(pattern)} finds no label in {name!r}")
        records.append(ClipRecord(file, name, (label,), group or name))
    return records
