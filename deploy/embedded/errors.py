"""Errors of a start; their messages are for the person at the terminal."""


class EmbeddedError(Exception):
    """The service can't run on this machine as it is; the message says why."""


class InUseError(EmbeddedError):
    """Another supervisor holds the data folder, or another program holds a port."""


class NoBinaryError(EmbeddedError):
    """A server has neither a URL in the settings, nor its wheel, nor the program of a setting."""


class VersionMismatchError(EmbeddedError):
    """Another version of a server wrote the data folder."""


class DamagedError(EmbeddedError):
    """A file in the data folder is damaged."""


class NoFreePortError(EmbeddedError):
    """No free port was found; too many services run on this machine."""


class StartError(EmbeddedError):
    """A process did not start."""
