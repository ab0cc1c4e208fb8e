"""Runs Locust on a shape, watches it, and stops it early when `break` has found its knee."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from loadtests.load.measures import Ramp
from loadtests.load.photo import photograph
from loadtests.load.records import Records, together
from loadtests.load.shapes import Shape
from loadtests.load.watch import Watch

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
IMPORT_SECONDS = 3.0
SPAWNS_A_SECOND = 250
STOP_SECONDS = 15
SAY_EVERY_SECONDS = 10.0
POLL_SECONDS = 0.5


class SwarmError(Exception):
    """Locust did not run to its end; the message is the end of its output."""


@dataclass(frozen=True)
class Run:
    """What was seen: the records and the watch, from second 0 to `end` of the shape."""

    shape: Shape
    records: Records
    watch: Watch
    ramp: Ramp | None
    end: float


@dataclass(frozen=True)
class Swarm:
    """A shape, played by name and by `share`, the part of its students' requests that come.

    `account` is the admin's, `reports` where Locust's files go.
    """

    shape_name: str
    shape: Shape
    share: float
    host: str
    account: dict[str, str]
    reports: Path
    service_pid: int | None = None

    def run(self, ramp: Ramp | None, progress: Callable[[str], None]) -> Run:
        """Play the shape.

        Raises:
            SwarmError: Locust did not start, or fell over.

        """
        with tempfile.TemporaryDirectory(prefix="loadtest-") as folder:
            records_folder = Path(folder)
            (photo := records_folder / "photo.jpg").write_bytes(photograph())
            self.reports.mkdir(parents=True, exist_ok=True)
            log = self.reports / "locust.log"
            lead = IMPORT_SECONDS + self.shape.users / SPAWNS_A_SECOND + self.shape.processes
            start = time.monotonic() + lead
            with log.open("wb") as output:
                locust = subprocess.Popen(
                    self._command(),
                    env=self._environment(start, records_folder, photo),
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    # With several processes they are a group that ends as one.
                    start_new_session=True,
                )
            try:
                records = Records(records_folder)
                roots = (locust.pid, *([self.service_pid] if self.service_pid else []))
                with Watch(self.host, start, roots) as watch:
                    end = self._watch_run(locust, start, records, ramp, progress)
                if _ended(locust) != 0:
                    said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
                    raise SwarmError(f"Locust failed:\n{said}")
                records.read()
                return Run(self.shape, records, watch, ramp, end)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(locust.pid, signal.SIGKILL)
                locust.wait()

    def _command(self) -> list[str]:
        command = [
            *(sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--headless"),
            *("--host", self.host, "--users", str(self.shape.users)),
            *("--spawn-rate", str(SPAWNS_A_SECOND), "--stop-timeout", str(STOP_SECONDS)),
            *("--html", str(self.reports / "locust.html"), "--csv", str(self.reports / "locust")),
            *("--exit-code-on-error", "0", "--only-summary"),
        ]
        if self.shape.processes > 1:
            port = str(_free_port())
            command += ["--processes", str(self.shape.processes)]
            command += ["--master-bind-host", "127.0.0.1", "--master-bind-port", port]
            command += ["--master-port", port]
        return command

    def _environment(self, start: float, records: Path, photo: Path) -> dict[str, str]:
        return {
            **os.environ,
            "LOADTEST_SHAPE": self.shape_name,
            "LOADTEST_SECONDS": str(self.shape.seconds),
            "LOADTEST_SHARE": str(self.share),
            "LOADTEST_UPLOADS": str(self.shape.steps[-1].uploads * 60),
            "LOADTEST_START": str(start),
            "LOADTEST_RECORDS": str(records),
            "LOADTEST_PHOTO": str(photo),
            "LOADTEST_USER": self.account["username"],
            "LOADTEST_PASSWORD": self.account["password"],
        }

    def _watch_run(
        self,
        locust: "subprocess.Popen[bytes]",
        start: float,
        records: Records,
        ramp: Ramp | None,
        progress: Callable[[str], None],
    ) -> float:
        """Wait until the shape has ended or is broken; return the second."""
        said = 0.0
        while (second := time.monotonic() - start) < self.shape.seconds + 1:
            if locust.poll() is not None and second < self.shape.seconds - 1:
                return second
            records.read()
            if second - said >= SAY_EVERY_SECONDS:
                said = second
                progress(_progress(records, second))
            # A second is written when it has passed.
            if ramp and ramp.judge_until(second - 2, records):
                locust.send_signal(signal.SIGINT)  # the signal at which it still writes its report
                return second - 2
            time.sleep(POLL_SECONDS)
        if ramp:
            records.read()
            ramp.judge_until(self.shape.seconds, records)
        return self.shape.seconds


def _ended(locust: "subprocess.Popen[bytes]") -> int:
    try:
        return locust.wait(STOP_SECONDS * 2)
    except subprocess.TimeoutExpired:
        raise SwarmError("Locust was told to stop and did not") from None


def _progress(records: Records, second: float) -> str:
    row = together(records.between(second - SAY_EVERY_SECONDS - 1, second - 1))
    p95 = row.response.percentile(95)
    rate = len(row) / SAY_EVERY_SECONDS
    shown = f"P95 {p95:.1f} ms" if p95 is not None else "nothing answered yet"
    return f"{second:4.0f} s: {rate:,.0f} requests a second, {shown}, {row.errors.total()} errors"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
