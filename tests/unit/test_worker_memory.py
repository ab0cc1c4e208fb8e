"""What a worker shares with its processes."""

import os

import billiard
from billiard import heap, util

import worker.app  # noqa: F401  its import has the effect


def test_it_is_of_no_file(monkeypatch):
    """A kill, as the second signal is, would leave its folder."""

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
