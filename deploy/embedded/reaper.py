"""Ends what a killed supervisor leaves behind; a script that reads `+GROUP` and `-GROUP` lines.

The kernel tells a part that the supervisor is gone, but not the processes that the part started.
"""

import os
import signal
import sys
import time

POOL_WAIT_SECONDS = 1.0
POLL_SECONDS = 0.05


def is_alive(group: int) -> bool:
    """Tell whether any process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def end(groups: set[int]) -> None:
    """Let the groups end by themselves for a moment, then kill them."""
    deadline = time.monotonic() + POOL_WAIT_SECONDS
    while time.monotonic() < deadline and any(map(is_alive, groups)):
        time.sleep(POLL_SECONDS)
    for group in filter(is_alive, groups):
        os.killpg(group, signal.SIGKILL)


def main() -> None:
    """Keep count of the groups until the supervisor's end of the pipe closes."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(signum, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    end(groups)


if __name__ == "__main__":
    main()
