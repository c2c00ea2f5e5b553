"""Pictures of a data folder: how many clips a label has, how long they are, how large and how fast the videos."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edgevid.files import replacing, write_json
from edgevid_train.evaluate.plots import MOST_NAMED, plain
from edgevid_train.library.stats import Survey

_COLOURS = {"train": "#4c78a8", "val": "#f58518", "test": "#54a24b", None: "#7f7f7f"}


def write_survey(survey: Survey, folder: Path) -> None:
    """`stats.json`, `labels.png` and `videos.png` in a folder of their own, which is replaced if it exists."""
    with replacing(folder) as temporary:
        temporary.mkdir()
        write_json(temporary / "stats.json", survey.to_json())
        draw_labels(survey, temporary / "labels.png")
        draw_videos(survey, temporary / "videos.png")


def draw_labels(survey: Survey, path: Path) -> None:
    """Clips of each label, by split, as a PNG."""
    counts: defaultdict[str, Counter[str | None]] = defaultdict(Counter)
    for record in survey.records:
        for label in record.labels:
            counts[label][record.split] += 1
    names = sorted(counts, key=lambda label: (-counts[label].total(), label))
    splits = [split for split in _COLOURS if any(counts[name][split] for name in names)]
    many = len(names) > MOST_NAMED  # a curve shows how unequal they are
    figure = Figure(figsize=(9, 4 if many else 1.2 + 0.24 * len(names)), layout="constrained")
    axes = figure.subplots()
    before = np.zeros(len(names))
    for split in splits:
        of_split = np.array([counts[name][split] for name in names])
        colour, legend = _COLOURS[split], f"{split or 'no split'} ({of_split.sum()})"
        if many:
            axes.plot(np.arange(1, len(names) + 1), of_split, ".", markersize=3, color=colour, label=legend)
        else:
            axes.barh([plain(name) for name in names], of_split, left=before, color=colour, label=legend)
        before += of_split
    if many:
        axes.set(xlabel=f"the {len(names)} labels, commonest first", ylabel="clips", yscale="symlog")
    else:
        axes.invert_yaxis()
        axes.set_xlabel("clips")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110, format="png")


def draw_videos(survey: Survey, path: Path) -> None:
    """Seconds of the clips, sizes and rates of the files, as a PNG."""
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    durations, sizes, rates = figure.subplots(1, 3)
    seconds = [s for record in survey.records if (s := survey.duration_s(record)) is not None and s > 0]
    _histogram(durations, seconds, "seconds", f"length of {len(seconds)} of {len(survey.records)} clips")
    counts = Counter(f"{info.width}x{info.height}" for info in survey.infos.values()).most_common(12)
    sizes.barh([size for size, _ in counts], [count for _, count in counts], color=_COLOURS["train"])
    sizes.invert_yaxis()
    sizes.set(xlabel="files", title=f"size of {len(survey.infos)} files")
    hertz = [info.rate_hz for info in survey.infos.values() if info.rate_hz]
    _histogram(rates, hertz, "frames per second", f"rate of {len(hertz)} files")
    figure.savefig(path, dpi=110, format="png")


def _histogram(axes: Axes, values: list[float], unit: str, title: str) -> None:
    """Logarithmic where the longest is more than a hundred times the shortest."""
    axes.set(xlabel=unit, ylabel="count", title=title)
    if not values:
        return
    bins: int | list[float] = 40
    if max(values) > 100 * min(values):
        bins = [float(edge) for edge in np.geomspace(min(values), max(values), 41)]
        axes.set_xscale("log")
    axes.hist(values, bins=bins, color=_COLOURS["train"])
