"""Where frames come from. They leave here upright, in RGB, reduced, with an honest time."""

from edgevid.sources.contract import Source, SourceCounts, SourceInfo
from edgevid.sources.opening import open_source

__all__ = ["Source", "SourceCounts", "SourceInfo", "open_source"]
