"""Drops root if requested, arranges to die with the supervisor, then execs a program.

`process.py` runs it as a script:
`child.py PARENT_PID DEATH_SIGNAL UID|- PROGRAM ARGUMENT…`.
"""

import ctypes
import os
import stat
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from infra.process.system import die_with_parent  # isolated mode needs the path above

CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522
PR_SET_KEEPCAPS = 8
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
EXIT_CANNOT_START = 127


def drop_root(user: int, program: Path) -> None:
    """Become `user`; keep one capability if that user can't reach program or working folder.

    The virtual environment or DATA_DIR may be below a folder of mode 0700, such as /root.
    """
    keep = [] if _can_access(user, program) else _capabilities_to_keep(program)
    libc = ctypes.CDLL(None, use_errno=True)
    if keep:
        libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
        # PostgreSQL finds its programs by access(2), which ignores capabilities otherwise.
        libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    if not keep:
        return
    # If permitted exceeds ambient, the exec counts as privileged and clears PDEATHSIG.
    bits = sum(1 << capability for capability in keep)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(bits, bits, bits, 0, 0, 0)
    if libc.capset(header, data) == 0:
        for capability in keep:
            libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def _can_access(user: int, program: Path) -> bool:
    """Return whether `user` can run the program and enter the working folder unprivileged."""
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
    # Containers often lack READ_SEARCH. A program of mode 0700 needs OVERRIDE.
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
    """Exec the program; on failure write one line to its log."""
    parent, death_signal, user, program, *arguments = sys.argv[1:]
    try:
        if user != "-":
            drop_root(int(user), Path(program))
        die_with_parent(int(death_signal), int(parent))
        os.execv(program, [program, *arguments])  # noqa: S606  # the command is the supervisor's
    except OSError as error:
        sys.stderr.write(f"{program} can't be started: {error}\n")
        sys.exit(EXIT_CANNOT_START)


if __name__ == "__main__":
    main()
