"""The page of `edgevid data review`: index.html, review.json and strips/."""

from pathlib import Path
from typing import Any

from edgevid.files import write_json
from edgevid_train.evaluate import page
from edgevid_train.review.review import Review, Reviewed

MOST_DOUBTED = 24


def write_page(review: Review, figures: dict[str, Any], folder: Path) -> None:
    """Write the page beside the strips that `look_through` left in `folder`. `figures`: the JSON of `review`."""
    write_json(folder / "review.json", figures)
    title = f"{Path(review.data).name}: {len(review.clips)} clips by label"
    (folder / "index.html").write_text(page.document(title, _head(review), _sections(review)), encoding="utf-8")


def _head(review: Review) -> list[str]:
    total = sum(review.counts.values())
    parts = [f"{total} clips of {len(review.counts)} labels in {review.data}."]
    if len(review.clips) + len(review.unreadable) < total:
        parts.append(f"Of each label some are shown, spread evenly: {len(review.clips)} in all.")
    if review.model is not None:
        wrong = sum(clip.doubted > 0 for clip in review.clips)
        parts.append(f"{review.model} takes {wrong} of them for something else; these stand first.")
    parts.append("Read along the strips of a label: one that does not belong is a wrong label.")
    return [page.paragraph(" ".join(parts))]


def _sections(review: Review) -> dict[str, str]:
    doubted = sorted((clip for clip in review.clips if clip.doubted), key=lambda clip: -clip.doubted)[:MOST_DOUBTED]
    faulty = [clip for clip in review.clips if clip.quality.faults]
    sections = {"Doubted labels": page.clips(map(_doubted, doubted)) if doubted else ""}
    for label, count in review.counts.items():
        clips = review.of_label(label)
        shown = f"{len(clips)} of {count} shown" if len(clips) < count else f"{count}"
        sections[f"{label} ({shown})"] = page.clips(map(_shown, clips)) if clips else page.paragraph("None readable.")
    sections["Picture quality"] = _quality(faulty, len(review.clips))
    sections["Unreadable clips"] = _unreadable(review)
    return sections


def _shown(clip: Reviewed) -> str:
    model = f"taken for {clip.prediction.predicted} {clip.doubted:.3f}" if clip.prediction and clip.doubted else ""
    faults = ", ".join(clip.quality.faults)
    caption = "; ".join(part for part in (model, faults) if part)
    remark = f"{clip.record.id}, {clip.seconds:.1f} s{_group(clip)}"
    return page.clip(clip.strip, f"frames of {clip.record.id}, from its start to its end", caption, remark)


def _doubted(clip: Reviewed) -> str:
    assert clip.prediction is not None
    caption = f"labelled {clip.record.label}, taken for {clip.prediction.predicted} {clip.doubted:.3f}"
    return page.clip(clip.strip, f"frames of {clip.record.id}", caption, f"{clip.record.id}{_group(clip)}")


def _group(clip: Reviewed) -> str:
    return f", {clip.record.group}" if clip.record.group != clip.record.name else ""


def _quality(faulty: list[Reviewed], total: int) -> str:
    if not faulty:
        return page.paragraph(f"None of the {total} clips is blurred, dark, bright, clipped, noisy, still or starved.")
    rows = [
        (
            clip.record.id,
            ", ".join(clip.quality.faults),
            f"{clip.quality.sharpness:.0f}",
            f"{clip.quality.brightness:.0f}",
            f"{clip.quality.clipped:.0%}",
            f"{clip.quality.noise:.1f}",
            f"{clip.quality.motion:.1f}",
            "" if clip.quality.kbit_s is None else f"{clip.quality.kbit_s:.0f}",
        )
        for clip in faulty
    ]
    head = ("clip", "what", "sharpness", "brightness", "clipped", "noise", "motion", "kbit/s")
    note = (
        "Medians over a clip's frames: variance of the Laplacian, mean luma 0..255, share of black and white pixels, "
        "standard deviation of the noise and mean difference of frames in grey levels."
    )
    return page.table(head, rows, words=2) + page.paragraph(note, "quiet")


def _unreadable(review: Review) -> str:
    rows = [(record.id, reason) for record, reason in review.unreadable.reasons.items()]
    return page.table(("clip", "why"), rows, words=2) if rows else ""
