"""The roots of errors: the docstring of an error's class is its message."""

from inspect import cleandoc


class SelfDescribed(Exception):
    """An error with one message"""

    def __init__(self, message: str | None = None) -> None:
        self.message = message or cleandoc(type(self).__doc__ or "")
        super().__init__(self.message)


class DeclaredError(SelfDescribed):
    """An error of a known kind, which a caller may see"""
