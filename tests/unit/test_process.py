"""The memory settings of a process."""

import subprocess
import sys

import pytest

# Allocations as for photos and long lists, each followed by a smaller one that stays.
PROGRAM = """
import os
from pathlib import Path

from infra.process.system import tune_malloc

def megabytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") >> 20

if {gives_back}:
    tune_malloc()
bytes(3 << 20)
before, large, kept = megabytes(), [], []
for _ in range(20):
    large.append(b"x" * (3 << 20))
    kept.append(b"x" * (100 << 10))
large.clear()
print(megabytes() - before)
"""


def growth(*, gives_back: bool) -> int:
    program = PROGRAM.format(gives_back=gives_back)
    return int(subprocess.check_output((sys.executable, "-c", program)))


def test_freed_large_blocks_are_returned_to_the_system():
    if growth(gives_back=False) < 10:
        pytest.skip("this C library gives them back anyway")
    assert growth(gives_back=True) <= 6
