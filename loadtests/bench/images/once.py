"""One way in a process of its own: python -m loadtests.bench.images.once WAY TIMES < JPEG."""

import json
import statistics
import sys
import time
from importlib import import_module
from pathlib import Path


def main(name: str, times: int) -> None:
    """Print the median milliseconds of processor, the bytes made, and the most memory held."""
    data = sys.stdin.buffer.read()
    module = "with_pyvips" if name.startswith("pyvips") else "ways"
    way = import_module(f"loadtests.bench.images.{module}").WAYS[name]
    made = way(data)
    taken = []
    for _ in range(times):
        began = time.process_time()
        way(data)
        taken.append((time.process_time() - began) * 1000)
    figures = {
        "milliseconds": statistics.median(taken),
        "bytes": sum(map(len, made)),
        "megabytes": _most_kilobytes() / 1024,
    }
    sys.stdout.write(json.dumps(figures))


def _most_kilobytes() -> int:
    """Return the most memory ever held; `getrusage` would count the parent's, too."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
