"""`make bench-tasks`: our tasks beside Celery, dramatiq and queues of PostgreSQL."""
