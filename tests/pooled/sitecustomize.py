"""Gives a process of the service PgBouncer in front of its database (tests/poolers.py)."""

import os
import socket
import sys

if (
    (directory := os.environ.get("POOLER_DIRECTORY"))
    and "DATABASE_DIRECT_URL" not in os.environ
    and (url := os.environ.get("DATABASE_URL", "")).startswith("postgresql://")
):
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(directory)
        asking.sendall(url.encode() + b"\n")
        pooled = asking.makefile().readline().strip()
    if not pooled:
        # An exception would only be printed, and the process would go on without a pooler.
        sys.stderr.write("there is no PgBouncer for this process\n")
        sys.stderr.flush()
        os._exit(os.EX_UNAVAILABLE)
    if pooled != url:
        os.environ |= {"DATABASE_URL": pooled, "DATABASE_DIRECT_URL": url}
