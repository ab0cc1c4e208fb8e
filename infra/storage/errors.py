"""What can go wrong in the image store. Two children: one is worth a retry, one is not."""

from inspect import cleandoc


class StorageError(Exception):
    """The image store can't be used"""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{cleandoc(type(self).__doc__ or '')}: {reason}")


class StorageUnavailable(StorageError):
    """The image store does not do this now; a later try may succeed"""


class StorageRefused(StorageError):
    """The image store refuses this; no retry helps, somebody must act"""
