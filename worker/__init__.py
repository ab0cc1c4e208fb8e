"""Process wiring: the Celery worker, its relay, the command line."""

import signal
import sys

# The command line itself, whose imports take most of a second: Ctrl-C ends it without a traceback.
if (sys.argv[0] == "-m" or sys.argv[0].endswith("/enroll")) and signal.getsignal(
    signal.SIGINT
) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
