"""What a person should know of a run besides its events."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from edgevid.events import SCHEMA


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that is wrong and goes on, told when it begins.

    Attributes:
        notice: what, in a word for programs: of a picture one of `edgevid.picture.FAULTS`, once in a run; of a source
            `lost` or `back`, whenever it is.
        text: the same for people, one line.
        time_s: on the source's clock.
        utc: wall clock, ISO 8601.
        source: as given, without credentials.
        model: name@digest.
    """

    notice: str
    text: str
    time_s: float
    utc: str
    source: str
    model: str

    def to_dict(self) -> dict[str, Any]:
        """The fields of the JSON object; its `type` tells it from an event."""
        return {"schema": SCHEMA, "type": "notice"} | asdict(self) | {"time_s": round(self.time_s, 3)}

    def to_json(self) -> str:
        """One line of JSON, in ASCII: any pipe takes it, and any file's name."""
        return json.dumps(self.to_dict())
