"""`python -m deploy.observe.traces --port 4318 --data DIR`: the receiver, in the foreground."""

import argparse
import signal
import sys
import threading
from pathlib import Path

from deploy.observe.traces.server import open_server
from deploy.observe.traces.store import SpanStore


def main() -> int:
    """Receive until a signal comes; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.observe.traces")
    parser.add_argument("--port", type=int, default=4318)
    parser.add_argument("--data", type=Path, required=True, help="The folder of the spans' file.")
    arguments = parser.parse_args()
    arguments.data.mkdir(parents=True, exist_ok=True)
    store = SpanStore(arguments.data / "traces.sqlite")
    try:
        server = open_server(arguments.port, store)
    except OSError as error:
        sys.stderr.write(f"port {arguments.port}: {error.strerror}\n")
        return 1
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    stop.wait()
    server.shutdown()
    store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
