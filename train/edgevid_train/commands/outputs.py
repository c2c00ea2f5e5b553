"""What a command will write, looked at before it begins."""

import fnmatch
from collections.abc import Collection
from pathlib import Path


def check_outside(json: Path | None, out: Path, *, force: bool) -> None:
    """As `check_json`, for figures of a folder `out` that holds its own files only.

    Raises:
        InputError: as `check_json`; or they would lie in that folder.
    """
    import os

    from edgevid.errors import InputError
    from edgevid.files import check_json

    if json is None:
        return
    check_json(json, force=force)
    file, folder = Path(os.path.realpath(json)), Path(os.path.realpath(out))
    if folder in (file, *file.parents):
        raise InputError(f"--json {json} is in --out {out}, which holds its own files only: name another place")


def check_outputs(out: Path | None, mark: str, parts: Collection[str], json: Path | None, *, force: bool) -> None:
    """`out`: the folder that is to be written, of `mark` and `parts`; see `check_folder`. `json` may lie in it.

    Raises:
        InputError: one of them exists and `force` is not given, or could not be written; or they are one, or `json`
            has a name that the folder needs.
    """
    from edgevid.errors import InputError
    from edgevid.files import check_different, check_folder, check_json

    check_different(out, json)
    if json:
        check_json(json, force=force)
    if out:
        inside = [json.name] if json and json.resolve().parent == out.resolve() else []
        if any(fnmatch.fnmatch(name, part) for name in inside for part in (mark, *parts)):
            raise InputError(f"--json {json} is what the folder itself holds: name another file")
        check_folder(out, mark, [*parts, *inside], force=force)
