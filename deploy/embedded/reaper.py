"""A script that ends the process groups of a killed supervisor; it reads `+GROUP` and `-GROUP`.

The death signal reaches the supervisor's children, but not the processes that they started.
"""

import os
import signal
import sys
import time

GRACE_SECONDS = 1.0
POLL_SECONDS = 0.05


def is_alive(group: int) -> bool:
    """Return whether any process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def end(groups: set[int]) -> None:
    """Wait `GRACE_SECONDS` for the groups to end, then kill them."""
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and any(map(is_alive, groups)):
        time.sleep(POLL_SECONDS)
    for group in filter(is_alive, groups):
        os.killpg(group, signal.SIGKILL)


def main() -> None:
    """Track the groups until the supervisor's end of the pipe closes, then end them."""
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
