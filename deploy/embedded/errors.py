"""What can go wrong with a start, in sentences for the person at the terminal."""


class EmbeddedError(Exception):
    """The service can't run on this machine as it is; the message says why."""


class InUseError(EmbeddedError):
    """Another supervisor holds the data folder, or another program a port."""


class NoBinaryError(EmbeddedError):
    """A server has neither a URL in the settings, nor its wheel, nor the program of a setting."""


class VersionMismatchError(EmbeddedError):
    """Another version of a server wrote the data folder."""


class DamagedError(EmbeddedError):
    """A file in the data folder is not as it was written."""


class NoFreePortError(EmbeddedError):
    """No free port was found; too many services run on this machine."""


class StartError(EmbeddedError):
    """A part did not come up."""
