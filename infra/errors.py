"""The root of the errors that a caller may see."""

from inspect import cleandoc


class DeclaredError(Exception):
    """An error of a known kind; the docstring of its class is its message"""

    def __init__(self, message: str | None = None) -> None:
        self.message = message or cleandoc(type(self).__doc__ or "")
        super().__init__(self.message)
