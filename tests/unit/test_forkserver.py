"""A fork of the server is, and ends like, the program that it stands for."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests import forkserver

TELLS = """
import atexit, json, os, sys
from fork_beside import SEEN
atexit.register(print, "over")
print(json.dumps([sys.argv[1:], sys.stdin.read(), SEEN, os.getcwd(), os.getsid(0) == os.getpid()]))
print("oh", file=sys.stderr)
sys.exit(3)
"""


@pytest.fixture
def script(tmp_path):
    """Saves a program; beside it is a module that looks at the environment."""
    (tmp_path / "fork_beside.py").write_text("import os\nSEEN = os.environ.get('FORK_TEST')\n")

    def save(text):
        path = tmp_path / "script.py"
        path.write_text(text)
        return path

    return save


@pytest.mark.parametrize("within", [(), ("nice", "-n", "0")], ids=["fork", "executed"])
@pytest.mark.parametrize("seen", ["a", "b"])
def test_it_is_what_python_starts(script, tmp_path, seen, within):
    files = [tmp_path / name for name in ("in", "out", "err")]
    files[0].write_text("typed")
    with files[0].open() as typed, files[1].open("w") as output, files[2].open("w") as errors:
        program = forkserver.start(
            *(script(TELLS), "-x", "é"),
            env=os.environ | {"FORK_TEST": seen},
            within=within,
            cwd=tmp_path,
            stdin=typed,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
        assert program.wait(30) == program.poll() == program.returncode == 3
    told = f'[["-x", "\\u00e9"], "typed", "{seen}", "{tmp_path}", true]'
    assert files[1].read_text() == f"{told}\nover\n"
    assert files[2].read_text() == "oh\n"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_signal_ends_it(script, tmp_path, signum):
    started = tmp_path / "started"
    text = f"import pathlib, time; pathlib.Path({str(started)!r}).touch(); time.sleep(60)"
    program = forkserver.start(script(text), env=os.environ, stderr=subprocess.DEVNULL)
    while not started.exists():
        time.sleep(0.01)
    assert program.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(0.01)
    program.send_signal(signum)
    assert program.wait(30) == -signum
    program.kill()  # it is over, and nobody else is killed


def test_what_the_interpreter_reads_at_its_start_is_executed(script, tmp_path):
    with (tmp_path / "out").open("w") as output:
        env = os.environ | {"PYTHONINSPECT": "", "PYTHONOPTIMIZE": "2"}
        program = forkserver.start(
            script("import sys; print(sys.flags.optimize)"), env=env, stdout=output
        )
        assert program.wait(30) == 0
    assert (tmp_path / "out").read_text() == "2\n"


async def test_a_command_that_takes_too_long_is_killed():
    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        await forkserver.enroll("openapi", "--help", env=os.environ, seconds=0.001)
    assert time.monotonic() - began < 10
    done = await forkserver.enroll("nothing", env=os.environ)
    assert (done.code, done.output) == (2, "")
    assert "No such command" in done.errors


def test_its_libraries_are_not_ours():
    ours = ("api", "cli", "infra", "models", "services", "tasks", "worker")
    script = f"import sys; print(*({{name.split('.')[0] for name in sys.modules}} & set({ours})))"
    loads = (
        f"from importlib import import_module; [import_module(n) for n in {forkserver.LIBRARIES}]"
    )
    shown = subprocess.run(
        [sys.executable, "-c", f"{loads}; {script}"], capture_output=True, text=True, check=True
    )
    assert shown.stdout == "\n"
