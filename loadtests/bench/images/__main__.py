"""python -m loadtests.bench.images: every way once a round, five rounds; medians."""

import json
import os
import statistics
import subprocess
import sys

from loadtests.bench import pages, results
from loadtests.bench.images.ways import WAYS
from loadtests.load.photo import photograph

ROUNDS, TIMES = 5, 5
SHARE, MEGABYTES = 1.1, 300
OURS = "ours"
PYVIPS = "pyvips, effort 1"

Figures = dict[str, float]


def main() -> None:
    """Measure, print, and write the result."""
    data = photograph()
    rounds: dict[str, list[Figures]] = {name: [] for name in (*WAYS, PYVIPS)}
    for _ in range(ROUNDS):
        for name, found in rounds.items():
            found.append(_once(name, data))
    medians = {
        name: {key: statistics.median(each[key] for each in found) for key in found[0]}
        for name, found in rounds.items()
    }
    where = results.machine("Pillow and pyvips of the locks").partition(", load by")[0]
    text = f"{where}. {len(data) / 1e6:.1f} MB of JPEG, 12 megapixels.\n\n{_table(medians)}"
    sys.stdout.write(text + "\n")
    results.write("images", "Images", text, {"machine": where, "rounds": rounds})
    pages.refresh()


def _once(name: str, data: bytes) -> Figures:
    command = [sys.executable, "-m", "loadtests.bench.images.once", name, str(TIMES)]
    env = os.environ | {"VIPS_CONCURRENCY": "1"}
    done = subprocess.run(
        command, input=data, stdout=subprocess.PIPE, check=True, cwd=results.ROOT, env=env
    )
    figures: Figures = json.loads(done.stdout)
    return figures


def _table(medians: dict[str, Figures]) -> str:
    lines = ["| way | ms | KB made | most MB held |", "|---|---:|---:|---:|"]
    for name, found in medians.items():
        lines.append(
            f"| {name} | {found['milliseconds']:.0f} | {found['bytes'] / 1000:.0f} "
            f"| {found['megabytes']:.0f} |"
        )
    rivals = {name: each for name, each in medians.items() if name not in {OURS, PYVIPS}}
    fastest = min(rivals, key=lambda name: rivals[name]["milliseconds"])
    ours = medians[OURS]
    share = ours["milliseconds"] / rivals[fastest]["milliseconds"]
    fast = "met" if share <= SHARE else "missed"
    small = "met" if ours["megabytes"] < MEGABYTES else "missed"
    lines += ["", f"Ours takes {share:.2f} of the fastest other way of Pillow, {fastest} (aim: at "]
    lines[-1] += f"most {SHARE}; {fast}), and holds {ours['megabytes']:.0f} MB (aim: under "
    lines[-1] += f"{MEGABYTES}; {small}). Milliseconds are of processor, in one thread."
    return "\n".join(lines)


if __name__ == "__main__":
    main()
