"""Errors of backups and restores; the message says what an operator can do."""

from infra.errors import DeclaredError


class BackupError(DeclaredError):
    """The backup failed"""


class BackupRefused(BackupError):
    """The settings or the server allow no backup; no retry helps"""


class WrongKey(BackupError):
    """BACKUP_KEY_FILE doesn't have the key of this object"""


class NoSuchBackup(BackupError):
    """There is no such backup"""


class TimeNotCovered(BackupError):
    """No backup and WAL of this time are in the archive"""


class RestoreRefused(BackupError):
    """The restore can't use this folder"""
