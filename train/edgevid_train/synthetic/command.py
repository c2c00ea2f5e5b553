"""`edgevid data synthesize`: words on the command line -> a folder of rendered clips."""

import re
from pathlib import Path
from typing import Annotated

import typer

from edgevid.commands.options import Force


def add_to(data_app: typer.Typer) -> None:
    """Add the `synthesize` command to the `edgevid data` group. Nothing heavy is imported before it runs."""

    @data_app.command("synthesize")
    def synthesize(
        ctx: typer.Context,
        out: Annotated[Path, typer.Option(help="The new folder. With --demo: the new .mp4 file.")],
        clips: Annotated[int, typer.Option(help="How many clips.")] = 1000,
        seed: Annotated[int, typer.Option(help="The first clip's seed; the others count up from it.")] = 0,
        size: Annotated[str, typer.Option(help="WxH of the videos in pixels.")] = "160x120",
        fps: Annotated[str | None, typer.Option(help="LO-HI, or one rate; otherwise 10-30, often irregular.")] = None,
        paths: Annotated[Path | None, typer.Option(help="Finger paths drawn by people, .npz.")] = None,
        backgrounds: Annotated[Path | None, typer.Option(help="Folder of photographs and videos.")] = None,
        labels: Annotated[str | None, typer.Option(help="Labels that take turns: a,b,c; otherwise by lot.")] = None,
        jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes that render.")] = 1,
        demo: Annotated[bool, typer.Option("--demo", help="Render the demo clip instead.")] = False,
        force: Force = False,
    ) -> None:
        """Render labelled first-person gesture clips: the same seed gives the same clips."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from edgevid.errors import InputError
        from edgevid_train.synthetic.demo import check_demo, write_demo
        from edgevid_train.synthetic.workers import backgrounds_in, paths_in
        from edgevid_train.synthetic.write import Request, Written, write_dataset

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        if demo:
            sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
            given = {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}
            extra = sorted(given - {"out", "demo", "force"})
            if extra:
                raise InputError(f"--demo goes with --out and --force only, not with --{extra[0]}")
            check_demo(out, force=force)
            with Progress(*columns, console=console) as bar:
                task = bar.add_task("frames")
                truth = write_demo(out, force=force, progress=lambda k, n: bar.update(task, completed=k, total=n))
            print(f"wrote {out} ({out.stat().st_size / 1e6:.2f} MB) and {truth}")
            return

        request = Request(clips, seed, parse_size(size), parse_fps(fps), tuple(parse_labels(labels)))
        paths_in(paths)
        bank = backgrounds_in(backgrounds)
        for line in bank.left_out_lines() if bank is not None else ():
            console.print(line, style="yellow", markup=False, highlight=False)
        counts: dict[str, int] = {}
        frames = 0
        bar = Progress(*columns, console=console)
        task = bar.add_task("clips", total=clips)

        def done(clip: Written) -> None:
            nonlocal frames
            bar.start()  # only now: whatever is refused is refused before the first clip
            counts[clip.label] = counts.get(clip.label, 0) + 1
            frames += len(clip.times_s)
            bar.advance(task)

        try:
            table = write_dataset(
                out, request, paths=paths, backgrounds=backgrounds, jobs=jobs, force=force, progress=done
            )
        finally:
            if counts:  # or it was never started, and would leave an empty line
                bar.stop()
        each = ", ".join(f"{label} {n}" for label, n in sorted(counts.items()))
        print(f"wrote {table}: {clips} clips, {frames} frames ({each})")


def parse_size(text: str) -> tuple[int, int]:
    """`WxH` as two numbers. Raises InputError."""
    from edgevid.errors import InputError

    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip())
    if match is None:
        raise InputError(f"--size {text}: give WxH, as 160x120")
    return int(match[1]), int(match[2])


def parse_fps(text: str | None) -> tuple[float, float] | None:
    """`LO-HI` or one rate. Raises InputError."""
    from edgevid.errors import InputError

    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?", text.strip())
    if match is None:
        raise InputError(f"--fps {text}: give LO-HI, as 10-30, or one rate")
    return float(match[1]), float(match[2] or match[1])


def parse_labels(text: str | None) -> list[str]:
    """`a,b,c`; that they are known is checked by Request. Raises InputError for an empty list."""
    from edgevid.errors import InputError

    labels = [] if text is None else [part.strip() for part in text.split(",") if part.strip()]
    if text is not None and not labels:
        raise InputError("--labels: give at least one label")
    return labels
