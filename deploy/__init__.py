"""Everything that runs the service: on one machine, in containers, in the cloud."""

import signal
import sys

# `make run` itself, whose imports take a moment: Ctrl-C ends it without a traceback.
if sys.argv[0] == "-m" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
