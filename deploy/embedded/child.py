"""Becomes a part of the service: gives up root where asked, dies with the supervisor, then execs.

Run as a script by `process.py`:
`child.py PARENT_PID DEATH_SIGNAL UID|- PROGRAM ARGUMENT…`.
"""

import ctypes
import os
import stat
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from infra.process.system import die_with_parent  # isolated mode has no path to it

CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522
PR_SET_KEEPCAPS = 8
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
EXIT_CANNOT_START = 127


def give_up_root(user: int, program: Path) -> None:
    """Become `user`; where the way to the program or the working folder is closed, keep a right.

    The environment or DATA_DIR may be below a 0700 folder such as /root: then the process keeps
    the right to read what root's folders hold.
    """
    keep = [] if _reaches(user, program) else _capabilities_to_keep(program)
    libc = ctypes.CDLL(None, use_errno=True)
    if keep:
        libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
        # access(2), by which PostgreSQL looks for its programs, heeds capabilities only so.
        libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    if not keep:
        return
    # Permitted no larger than ambient: else the exec counts as privileged and forgets PDEATHSIG.
    bits = sum(1 << capability for capability in keep)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(bits, bits, bits, 0, 0, 0)
    if libc.capset(header, data) == 0:
        for capability in keep:
            libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def _reaches(user: int, program: Path) -> bool:
    """Tell whether `user` can run the program and enter the working folder without any right."""
    os.setgroups([])
    os.setegid(user)
    os.seteuid(user)
    try:
        runs = os.access(program, os.X_OK, effective_ids=True)
        return runs and os.access(Path.cwd(), os.R_OK | os.X_OK, effective_ids=True)
    except OSError:
        return False
    finally:
        os.seteuid(0)
        os.setegid(0)


def _capabilities_to_keep(program: Path) -> list[int]:
    held = _permitted()
    # Containers often lack READ_SEARCH; a umask of 077 made a program that only OVERRIDE may run.
    runnable = program.stat().st_mode & stat.S_IXOTH
    wanted = CAP_DAC_READ_SEARCH if runnable and held >> CAP_DAC_READ_SEARCH & 1 else None
    chosen = CAP_DAC_OVERRIDE if wanted is None else wanted
    return [chosen] if held >> chosen & 1 else []


def _permitted() -> int:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1], 16) for line in lines if line.startswith("CapPrm:")), 0)


def main() -> None:
    """Turn into the program; on failure one line for its log."""
    parent, death_signal, user, program, *arguments = sys.argv[1:]
    try:
        if user != "-":
            give_up_root(int(user), Path(program))
        die_with_parent(int(death_signal), int(parent))
        os.execv(program, [program, *arguments])  # noqa: S606  # the command is the supervisor's
    except OSError as error:
        sys.stderr.write(f"{program} can't be started: {error}\n")
        sys.exit(EXIT_CANNOT_START)


if __name__ == "__main__":
    main()
