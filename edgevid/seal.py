"""The seal on a model: a digest in its manifest of all its bytes, which shows whether they are those of its export."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from edgevid.errors import InputError
from edgevid.manifest import NO_DIGEST, Manifest


def digest_of(data: bytes, digest: str) -> str:
    """SHA-256 of `data` with every occurrence of `digest`'s 64 characters set to zero."""
    return hashlib.sha256(_zeroed(data, digest)).hexdigest()


def digest_of_package(folder: Path, digest: str) -> str:
    """`digest_of` for a package: its sorted relative paths, sizes and bytes."""
    total = hashlib.sha256()
    for file in _files(folder):
        data = file.read_bytes()
        total.update(f"{file.relative_to(folder).as_posix()}\0{len(data)}\0".encode())
        total.update(_zeroed(data, digest))
    return total.hexdigest()


def seal(path: Path) -> str:
    """Compute the digest of the file or package at `path`, whose manifest holds `NO_DIGEST`, and write it in there.

    Returns: the digest.

    Raises:
        ValueError: the empty digest does not occur exactly once as the value of a manifest's `digest` field.
    """
    empty = f'"digest":"{NO_DIGEST}"'.encode()
    files = list(_files(path)) if path.is_dir() else [path]
    places = [(file, count) for file in files if (count := file.read_bytes().count(empty))]
    if [count for _, count in places] != [1]:
        raise ValueError(f"{path}: expected one empty digest, found {sum(count for _, count in places)}")
    digest = digest_of_package(path, NO_DIGEST) if path.is_dir() else digest_of(path.read_bytes(), NO_DIGEST)
    sealed = places[0][0]
    start = sealed.read_bytes().index(empty)
    with sealed.open("r+b") as file:
        file.seek(start)
        file.write(f'"digest":"{digest}"'.encode())
    return digest


def read_sealed(text: str, path: Path, digest: Callable[[str], str]) -> Manifest:
    """The manifest `text` that stands in the model at `path`, which is as it was when it was sealed.

    `digest`: that of the model, as `digest_of` or `digest_of_package` has it, for the one that its manifest holds.

    Raises:
        InputError: as `Manifest.from_json`; or never sealed, or changed since.
    """
    manifest = Manifest.from_json(text, str(path))
    if manifest.digest == NO_DIGEST:
        raise InputError(f"{path} was never sealed: its manifest holds no digest")
    if digest(manifest.digest) != manifest.digest:
        raise InputError(f"{path} does not match its digest: it was damaged or changed after export")
    return manifest


def _zeroed(data: bytes, digest: str) -> bytes:
    return data.replace(digest.encode(), NO_DIGEST.encode())


def _files(folder: Path) -> Iterator[Path]:
    # A Mac leaves a `.DS_Store` where somebody has looked
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != ".DS_Store")
    yield from sorted(files, key=lambda f: f.relative_to(folder).as_posix())
