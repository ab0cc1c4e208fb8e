"""The keys that sign tokens: several, so that a new key invalidates no token.

The settings have JWT_SECRET, which signs, and JWT_KEYS, which are trusted too; several instances
share keys by these. A single machine can rotate instead: `rotate` adds a key to a file in DATA_DIR.
The newest key of the file signs, and older keys are trusted until their last token has expired.
Running processes check the file twice a second, and for each unknown key.
"""

import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from infra.observability import logs
from infra.observability.events import Event
from infra.process.private_files import PRIVATE_FILE, data_folder, write_private_file
from infra.settings import Settings, SettingsError

KEY_BYTES = 32
CHECK_SECONDS = 0.5

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Key:
    """A secret, its id in tokens, and the Unix time until which it is trusted (None: always).

    The file stores only id and time of a key of the settings, without its secret.
    """

    kid: str
    secret: str | None
    until: float | None = None

    def is_trusted(self, now: float) -> bool:
        """Return whether tokens of this key are accepted."""
        return self.secret is not None and (self.until is None or now < self.until)


class KeyRing:
    """The keys of one process, reloaded when the file changes.

    Raises:
        SettingsError: the file exists and can't be used.

    """

    def __init__(self, settings: Settings) -> None:
        self._path = key_file(settings)
        self._settings = _settings_keys(settings)
        self._loaded_version: tuple[int, int] | None = None
        self._checked_at = 0.0
        self._keys: tuple[Key, ...] = ()
        self._read(_version(self._path))

    @property
    def keys(self) -> tuple[Key, ...]:
        """All keys; the first one signs."""
        self._reload()
        return self._keys

    def signing(self) -> tuple[str, str]:
        """Return the id and the secret of the key that signs."""
        key = self.keys[0]
        return key.kid, key.secret or ""

    def find(self, kid: str) -> str | None:
        """Return the secret of the trusted key of this id."""
        secret = self._find(kid)
        if secret is None and self._reload(forced=True):
            secret = self._find(kid)
        return secret

    def _find(self, kid: str) -> str | None:
        now = time.time()
        return next(
            (key.secret for key in self.keys if key.kid == kid and key.is_trusted(now)), None
        )

    def _reload(self, *, forced: bool = False) -> bool:
        """Read the file if it has changed; return whether it has."""
        now = time.monotonic()
        if not forced and now - self._checked_at < CHECK_SECONDS:
            return False
        self._checked_at = now
        version = _version(self._path)
        if version == self._loaded_version:
            return False
        try:
            self._read(version)
        except SettingsError as error:
            # The process goes on with the keys that it has.
            log.error(Event.KEY_FILE_UNUSABLE, error=str(error))  # noqa: TRY400  no traceback needed
        return True

    def _read(self, version: tuple[int, int] | None) -> None:
        """Read the file; `version` was read before, so a concurrent change causes another read."""
        self._keys = _merge(_load(self._path), self._settings)
        self._loaded_version = version


def rotate(settings: Settings, *, keep_seconds: float) -> str:
    """Add a key that signs from now on; return its id.

    Older keys are trusted for `keep_seconds` more, the lifetime of their tokens.

    Raises:
        SettingsError: JWT_KEYS is set, or the file can't be used.

    """
    if settings.jwt_keys:
        raise SettingsError(
            "JWT_KEYS is set, so the instances share their keys by settings: "
            "see docs/security.md, Tokens and keys, for how to rotate there"
        )
    path = key_file(settings)
    with _locked(path):
        now = time.time()
        ring = _merge(_load(path), _settings_keys(settings))
        old = [
            replace(key, until=min(key.until or now + keep_seconds, now + keep_seconds))
            for key in ring
        ]
        settings_kids = {key.kid for key in _settings_keys(settings)}
        kid = f"{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(4)}"
        kept = [
            replace(key, secret=None) if key.kid in settings_kids else key
            for key in old
            # The end of a key of the settings is recorded for good.
            if key.kid in settings_kids or key.is_trusted(now)
        ]
        keys = [Key(kid, secrets.token_urlsafe(KEY_BYTES)), *kept]
        document = json.dumps({"keys": [asdict(key) for key in keys]}, indent=2)
        # A rotation by root must leave the file readable for the owner of the folder.
        write_private_file(path, document, owner=path.parent.stat())
    return kid


def key_file(settings: Settings) -> Path:
    """Return the file of this machine's own keys."""
    return settings.data_dir.absolute() / "keys.json"


def settings_kid(secret: str) -> str:
    """Return the id of a key of the settings, which is the same on all instances."""
    return hashlib.sha256(b"kid:" + secret.encode()).hexdigest()[:12]


def _settings_keys(settings: Settings) -> tuple[Key, ...]:
    values = [key.get_secret_value() for key in (settings.jwt_secret, *settings.jwt_keys)]
    return tuple(Key(settings_kid(value), value) for value in values)


def _merge(stored: Sequence[Key], settings_keys: Sequence[Key]) -> tuple[Key, ...]:
    """Return the file's keys, newest first, then those of the settings with their recorded end."""
    ends = {key.kid: key.until for key in stored if key.secret is None}
    own = [key for key in stored if key.secret is not None]
    return (*own, *(replace(key, until=ends.get(key.kid)) for key in settings_keys))


def _version(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def _load(path: Path) -> list[Key]:
    try:
        return [Key(**each) for each in json.loads(path.read_text(encoding="utf-8"))["keys"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"the keys in {path} can't be used: {error}") from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Allow one rotation at a time."""
    data_folder(path.parent)
    with path.with_suffix(".lock").open("w") as lock:
        os.fchmod(lock.fileno(), PRIVATE_FILE)  # another user who can open it could hold the lock
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
