"""Kinds of tasks, one module per subject; a new kind is one decorated coroutine and its test."""
