"""`make bench-tasks`: our tasks beside plain Celery, procrastinate and dramatiq, in one run."""
