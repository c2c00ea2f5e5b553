"""Resident memory of `edgevid live --source demo --pace fast --loop`: under 300 MB, and no more at the end than before.

    python benchmarks/memory.py [--model NAME] [--seconds 600]

Ten minutes at full speed are hours of a camera's frames. The process is asked every two seconds, by `ps`. Flat means:
the median of the last fifth is at most 2% above that of the second fifth (the first one warms up).
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time

from ending import one_line_errors
from timing import verdict

AT_MOST_MB = 300.0
FLAT = 1.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="air-gesture")
    parser.add_argument("--source", default="demo")
    parser.add_argument("--seconds", type=float, default=600.0)
    args = parser.parse_args()
    command = [
        *(sys.executable, "-m", "edgevid", "live", "--source", args.source, "--model", args.model, "--pace", "fast"),
        *("--loop", "--no-window", "--seconds", str(args.seconds)),
    ]
    seen_mb: list[float] = []
    # a file, not a pipe: what is printed in ten minutes is more than a pipe holds, and a full one stops the process
    with tempfile.TemporaryFile("w+") as output, subprocess.Popen(command, stdout=output) as child:
        while child.poll() is None:
            asked = subprocess.run(["ps", "-o", "rss=", "-p", str(child.pid)], capture_output=True, text=True)
            if asked.stdout.strip():
                seen_mb.append(int(asked.stdout) * 1024 / 1e6)
            time.sleep(2)
        output.seek(0)
        printed = output.read()
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    print("\n".join(printed.strip().splitlines()[-2:]))
    fifth = max(1, len(seen_mb) // 5)
    early, late = statistics.median(seen_mb[fifth : 2 * fifth]), statistics.median(seen_mb[-fifth:])
    most = max(seen_mb)
    print(f"resident memory: at most {most:.0f} MB; {early:.1f} MB early, {late:.1f} MB late (n = {len(seen_mb)})")
    verdict(
        most < AT_MOST_MB and late <= FLAT * early,
        f"{most:.0f} MB at most, {late / early - 1:+.1%} from early to late; under {AT_MOST_MB:g} MB, flat is asked",
    )


if __name__ == "__main__":
    with one_line_errors():
        main()
