"""Where the bytes of a data set are: in files, in parts of tar shards, at addresses.

A media file is named by a `Path` everywhere. `shards/train-000000.tar/000001.mp4` names a part of a tar shard, and
`https:/host/data/a.mp4` what is at that address (a `Path` keeps one of the two slashes); `named` makes such names of
what people and tables write. What a name stands for is found here and nowhere else: `blob_of` gives its bytes, of which
only those that are asked for are read.
"""

from edgevid_train.storage.address import absolute, address_of, is_signed, is_written, named, shown, sign_as
from edgevid_train.storage.arrays import BoundedArrays
from edgevid_train.storage.blob import Blob, blob_of, is_one_file, media, read_bytes, shard_of, size_of, stamp_of
from edgevid_train.storage.bounded import BoundedFolder, cache_folder
from edgevid_train.storage.faults import LostError
from edgevid_train.storage.shard import ENDING, Member, ShardIndex, read_shard

__all__ = [
    "ENDING",
    "Blob",
    "BoundedArrays",
    "BoundedFolder",
    "LostError",
    "Member",
    "ShardIndex",
    "absolute",
    "address_of",
    "blob_of",
    "cache_folder",
    "is_one_file",
    "is_signed",
    "is_written",
    "media",
    "named",
    "read_bytes",
    "read_shard",
    "shard_of",
    "shown",
    "sign_as",
    "size_of",
    "stamp_of",
]
