"""The memory that a worker shares with its child processes."""

import os

import billiard
from billiard import heap, util

import worker.app  # noqa: F401  its import has the effect


def test_the_memory_is_not_backed_by_a_file(monkeypatch):
    """A kill would leave the file behind."""

    def refuse():
        raise AssertionError("a file is made")

    monkeypatch.setattr(util, "get_temp_dir", refuse)
    monkeypatch.setattr(heap.BufferWrapper, "_heap", heap.Heap())
    value = billiard.Value("i", 1)
    pid = os.fork()
    if not pid:
        value.value = 7
        os._exit(0)
    os.waitpid(pid, 0)
    assert value.value == 7
