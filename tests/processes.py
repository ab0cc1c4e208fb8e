"""Processes that come and go while a test looks at them."""

from __future__ import annotations

import psutil  # type: ignore[import-untyped]


def commands_of(
    parent: psutil.Process, *, recursive: bool = False
) -> dict[psutil.Process, list[str]]:
    """Return the children that have not ended, each with its command line."""
    commands = {}
    for child in parent.children(recursive=recursive):
        try:
            commands[child] = child.cmdline()
        except psutil.Error:
            continue
    return commands
