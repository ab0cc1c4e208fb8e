"""Errors of the image store: `StorageUnavailable` is worth a retry, `StorageRefused` is not."""

from inspect import cleandoc


class StorageError(Exception):
    """The image store can't be used"""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{cleandoc(type(self).__doc__ or '')}: {reason}")


class StorageUnavailable(StorageError):
    """The image store is unavailable; a later try may succeed"""


class StorageRefused(StorageError):
    """The image store refuses this; no retry helps, an operator must act"""
