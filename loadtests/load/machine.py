"""Where figures were measured."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """The processor, and how busy it was before the test began."""

    cpu: str
    cores: int
    load: float

    @classmethod
    def here(cls) -> "Machine":
        """Describe this machine."""
        return cls(_cpu(), len(os.sched_getaffinity(0)), os.getloadavg()[0])

    def __str__(self) -> str:
        return (
            f"{self.cpu}, {self.cores} cores, load {self.load:.2f} at the start, "
            f"Python {platform.python_version()}"
        )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
