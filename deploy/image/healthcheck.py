#!/usr/bin/python3 -IS
"""Exits with 0 if an address answers 200: by default whether this container's API is ready."""

import os
import sys
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

OK = 200
TIMEOUT_SECONDS = 4
READY = f"http://127.0.0.1:{os.environ.get('PORT', '8080')}/health/ready"


def fault(address: str) -> str | None:
    """Return what is wrong with the address, or None."""
    parts = urlsplit(address)
    if parts.scheme != "http" or parts.hostname is None:
        return "no address that starts with http://"
    connection = HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", parts.path or "/")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return str(error) or repr(error)
    finally:
        connection.close()
    return None if status == OK else f"status {status}"


if __name__ == "__main__":
    address = sys.argv[1] if sys.argv[1:] else READY
    if found := fault(address):
        sys.exit(f"healthcheck: {address}: {found}")
