"""The Celery worker's processes and its relay."""

import signal
import sys

# Ctrl-C ends the command line without a traceback during its imports, which are slow.
if (sys.argv[0] == "-m" or sys.argv[0].endswith("/enroll")) and signal.getsignal(
    signal.SIGINT
) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
