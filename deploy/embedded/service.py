"""The whole service as a child process, for tests and load tests that use it from outside."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from deploy.embedded.console import UP
from deploy.embedded.errors import StartError
from deploy.embedded.process_supervisor import tail
from infra.settings import embedded_env_file

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = (sys.executable, "-m", __package__)
START_SECONDS = 90.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.05


@dataclass
class Service:
    """A running service and its supervisor."""

    process: "subprocess.Popen[bytes]"
    data_dir: Path
    base_url: str
    flower_url: str
    env: dict[str, str]
    output: Path

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """Stop it if it still runs, and return the supervisor's exit code."""
        return _stop(self.process, signum)


def _stop(process: subprocess.Popen[bytes], signum: signal.Signals = signal.SIGTERM) -> int:
    if process.poll() is None:
        process.send_signal(signum)
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def _wait_until_up(process: subprocess.Popen[bytes], output: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while UP not in output.read_text(encoding="utf-8", errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise StartError(f"the service did not come up:\n{tail(output)}")
        time.sleep(POLL_SECONDS)


def start_service(  # noqa: PLR0913  # all but three are for tests of the supervisor itself
    data_dir: Path,
    port: int,
    flower_port: int,
    *,
    environment: Mapping[str, str] | None = None,
    command: Sequence[str] = COMMAND,
    seconds: float = START_SECONDS,
) -> Service:
    """Start the service and return when everything is up.

    Raises:
        StartError: it ended, or was not up in time; the message has the end of its output.

    """
    own = {"DATA_DIR": str(data_dir), "PORT": str(port), "FLOWER_PORT": str(flower_port)}
    output = data_dir.with_name(f"{data_dir.name}.out")
    with output.open("wb") as file:
        process = subprocess.Popen(  # the caller's command, from the repository's root
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {}), **own},
        )
    try:
        _wait_until_up(process, output, seconds)
    except BaseException:
        _stop(process)  # an interrupt leaves no process running either
        raise
    return Service(
        process,
        data_dir,
        f"http://127.0.0.1:{port}",
        f"http://127.0.0.1:{flower_port}",
        {k: v for k, v in dotenv_values(embedded_env_file(data_dir)).items() if v is not None},
        output,
    )
