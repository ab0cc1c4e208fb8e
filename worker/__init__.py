"""Process wiring: the Celery worker, its relay, the command line."""
