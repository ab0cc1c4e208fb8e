"""Starts the command line: an interrupt while it is imported ends it without a traceback."""

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)

from cli.main import main  # noqa: E402  after the signal's handler

if __name__ == "__main__":
    main()
