"""Starts Python programs as forks of a process that has imported the libraries already.

Imports of Sanic, Celery and their like, once for each command, would be most of the processor time
of a test run. The project's own code is imported anew in each process, so that it sees the
process's own environment. The idea is the standard library's `multiprocessing.forkserver`; here
the fork becomes what `python -m NAME` or `python PATH` is, and ends like it.
"""

import asyncio
import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import Any, TypeAlias

MOST_BYTES = 1 << 20
ENROLL = Path(sys.executable).with_name("enroll")
# Not those that look at their environment when they are imported, or that a test counts.
LIBRARIES = (
    *("asyncpg", "boto3", "botocore.httpsession", "celery.app.amqp", "celery.apps.worker"),
    *("celery.app.control", "celery.concurrency.prefork", "celery.worker.consumer", "cryptography"),
    *("email_validator", "httptools", "jinja2", "jwt", "kombu.transport.redis", "openfeature.api"),
    *("passlib.context", "passlib.handlers.bcrypt", "PIL.Image", "psutil", "pydantic_settings"),
    *("redis.asyncio", "rich.console", "rich.table", "sanic", "sanic.server", "sanic_ext"),
    *("structlog", "tortoise", "tortoise.backends.asyncpg.client", "typer", "uvloop", "yaml"),
)


@dataclass(frozen=True)
class Program:
    """What a fork becomes; its standard streams are passed beside it."""

    arguments: tuple[str, ...]
    environment: dict[str, str]
    folder: str
    new_session: bool


class Server:
    """The process with the libraries; it ends with the one that asks it."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._running: dict[int, tuple[int, socket.socket]] = {}

    def serve(self) -> Program | None:
        """Fork programs; return one in its fork, and None at the end of the asking process."""
        while True:
            watched = [sys.stdin.fileno(), self._listener.fileno(), *self._running]
            ready = _wait(watched)
            if watched[0] in ready:
                return None
            for pidfd in ready & self._running.keys():
                self._report(pidfd)
            if watched[1] in ready and (program := self._fork()):
                return program

    def _report(self, pidfd: int) -> None:
        pid, connection = self._running.pop(pidfd)
        _, status = os.waitpid(pid, 0)
        os.close(pidfd)
        with connection, suppress(OSError):  # the test has not waited for it
            connection.send(str(os.waitstatus_to_exitcode(status)).encode())

    def _fork(self) -> Program | None:
        connection, _ = self._listener.accept()
        message, streams, _, _ = socket.recv_fds(connection, MOST_BYTES, 3)
        if not message:  # the test has ended in the meantime
            connection.close()
            return None
        program = Program(**json.loads(message))
        pid = os.fork()
        if pid:
            for stream in streams:
                os.close(stream)
            connection.send(str(pid).encode())
            self._running[os.pidfd_open(pid)] = pid, connection
            return None
        for descriptor, stream in enumerate(streams):
            os.dup2(stream, descriptor)
            os.close(stream)
        connection.close()
        for pidfd, (_, other) in self._running.items():
            os.close(pidfd)
            other.close()
        return program


def _wait(descriptors: list[int], seconds: float | None = None) -> set[int]:
    poll = select.poll()
    for each in descriptors:
        poll.register(each, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(seconds and seconds * 1000)}


def become(program: Program, paths: list[str]) -> None:
    """Be that program; returns or raises as it does."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if program.new_session:
        os.setsid()
    os.chdir(program.folder)
    os.environ.clear()
    os.environ.update(program.environment)
    first, *rest = program.arguments
    added = [each for each in program.environment.get("PYTHONPATH", "").split(os.pathsep) if each]
    if first == "-m":
        name, *rest = rest
        sys.argv = [name, *rest]
        sys.path[:] = [program.folder, *added, *paths]
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *rest]
        sys.path[:] = [str(Path(first).resolve().parent), *added, *paths]
        runpy.run_path(first, run_name="__main__")


class Fork:
    """A program that runs; used as `subprocess.Popen` is."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = Lock()
        self.pid = int(connection.recv(MOST_BYTES))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while the program runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait so many seconds for the end; return the exit code, or raise TimeoutExpired."""
        if self.returncode is None and not _wait([self._connection.fileno()], timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        with self._lock:  # another thread may wait, too
            if self.returncode is None:
                self.returncode = int(self._connection.recv(MOST_BYTES))
                self._connection.close()
        return self.returncode

    def send_signal(self, signum: int) -> None:
        """Send a signal, unless the program has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


Running: TypeAlias = "Fork | subprocess.Popen[bytes]"


@dataclass(frozen=True)
class Done:
    """A program that has ended."""

    code: int
    output: str
    errors: str


@cache
def _address() -> bytes:
    """Start the server; return its address. It ends when this process closes its input."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind("")
    listener.listen(64)
    address: bytes = listener.getsockname()
    with listener:
        server = subprocess.Popen(
            [sys.executable, __file__, str(listener.fileno())],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        )
    atexit.register(server.communicate)
    return address


def _is_for_the_start(variable: tuple[str, str]) -> bool:
    """Return whether only the linker or the interpreter looks at it, when they start."""
    name, _ = variable
    return name.startswith(("LD_", "MALLOC_", "PYTHON")) and name != "PYTHONPATH"


def start(
    *arguments: str | Path, env: Mapping[str, str], within: Sequence[str] = (), **options: Any
) -> Running:
    """Start what `python ARGUMENTS` starts, with options of `subprocess.Popen`.

    It is executed if the command `within` is to start it, or its environment says how.
    """
    if within or any(_is_for_the_start(each) for each in env.items() - os.environ.items()):
        return subprocess.Popen([*within, sys.executable, *arguments], env=env, **options)
    program = Program(
        tuple(map(str, arguments)),
        dict(env),
        str(options.get("cwd") or Path.cwd()),
        options.get("start_new_session", False),
    )
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(_address())
    with Path(os.devnull).open("r+b") as nothing:
        numbers: list[int] = []
        for name, own in (("stdin", nothing), ("stdout", 1), ("stderr", 2)):
            stream = options.get(name) or own
            if stream == subprocess.STDOUT:
                stream = numbers[-1]
            elif stream == subprocess.DEVNULL:
                stream = nothing
            numbers.append(stream if isinstance(stream, int) else stream.fileno())
        socket.send_fds(connection, [json.dumps(asdict(program)).encode()], numbers)
    return Fork(connection)


async def enroll(
    *arguments: str,
    env: Mapping[str, str],
    cwd: Path | None = None,
    typed: str = "",
    stdin: int | None = None,
    seconds: float = 60,
) -> Done:
    """Run `enroll`, with this text or terminal as its input.

    After so many seconds it is killed, and TimeoutExpired raised.
    """
    with TemporaryFile() as text, TemporaryFile() as output, TemporaryFile() as errors:
        text.write(typed.encode())
        text.seek(0)
        program = start(
            *(ENROLL, *arguments),
            env=env,
            cwd=cwd,
            stdin=stdin or text,
            stdout=output,
            stderr=errors,
        )
        try:
            code = await asyncio.to_thread(program.wait, seconds)
        finally:
            program.kill()
            program.wait()
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode())
        return Done(code, *texts)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    paths = sys.path[1:]
    for name in LIBRARIES:
        import_module(name)
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        program = Server(listener).serve()
    if program:
        become(program, paths)
