"""Slow work: one module a subject; a new kind of task is one decorated coroutine and its test."""
