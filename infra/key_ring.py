"""The keys that sign tokens: a ring of several, so that a new one logs nobody out.

Those of the settings are JWT_SECRET, which signs, and JWT_KEYS, which are trusted beside it: this
is how several instances share their keys. One machine alone may rotate: `rotate` puts a key into a
file of DATA_DIR, from then on the newest of the file signs, and what signed before is trusted
until its last token has ended. Running processes look at the file whenever they meet a key that
they do not know, and twice a second.
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
from infra.process.private_files import PRIVATE_FILE, data_folder
from infra.settings import Settings, SettingsError

KEY_BYTES = 32
CHECK_SECONDS = 0.5

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Key:
    """A secret, its name in tokens, and until when it is trusted (epoch seconds; None: always).

    In the file a key of the settings has no secret: it is only noted until when it is trusted.
    """

    kid: str
    secret: str | None
    until: float | None = None

    def is_trusted(self, now: float) -> bool:
        """Tell whether tokens of this key hold."""
        return self.secret is not None and (self.until is None or now < self.until)


class KeyRing:
    """The keys of one process, kept in step with the file.

    Raises:
        SettingsError: the file is there and can't be used.

    """

    def __init__(self, settings: Settings) -> None:
        self._path = key_file(settings)
        self._settings = _of_settings(settings)
        self._seen: tuple[int, int] | None = None
        self._checked_at = 0.0
        self._keys: tuple[Key, ...] = ()
        self._read(_version(self._path))

    @property
    def keys(self) -> tuple[Key, ...]:
        """All keys, the one that signs first."""
        self._look()
        return self._keys

    def signing(self) -> tuple[str, str]:
        """Return the name and the secret of the key that signs."""
        key = self.keys[0]
        return key.kid, key.secret or ""

    def find(self, kid: str) -> str | None:
        """Return the secret of the trusted key of this name."""
        found = self._find(kid)
        if found is None and self._look(at_once=True):
            found = self._find(kid)
        return found

    def _find(self, kid: str) -> str | None:
        now = time.time()
        return next(
            (key.secret for key in self.keys if key.kid == kid and key.is_trusted(now)), None
        )

    def _look(self, *, at_once: bool = False) -> bool:
        """Read the file if it is another than before; tell whether it was."""
        now = time.monotonic()
        if not at_once and now - self._checked_at < CHECK_SECONDS:
            return False
        self._checked_at = now
        version = _version(self._path)
        if version == self._seen:
            return False
        try:
            self._read(version)
        except SettingsError as error:
            # Better the keys of before than none.
            log.error("key_file_unusable", error=str(error))  # noqa: TRY400  it says it all
        return True

    def _read(self, version: tuple[int, int] | None) -> None:
        """Read the file, which had this version before: if it is replaced now, it is read again."""
        self._keys = _merged(_stored(self._path), self._settings)
        self._seen = version


def rotate(settings: Settings, *, keep_seconds: float) -> str:
    """Add a key that signs from now on; return its name.

    What signed before is trusted for `keep_seconds` more: the life of the tokens it signed.

    Raises:
        SettingsError: the keys are those of JWT_KEYS, or the file can't be used.

    """
    if settings.jwt_keys:
        raise SettingsError(
            "JWT_KEYS is set, so the instances share their keys by settings: "
            "see docs/security.md, Tokens and keys, for how to rotate there"
        )
    path = key_file(settings)
    with _locked(path):
        now = time.time()
        ring = _merged(_stored(path), _of_settings(settings))
        old = [
            replace(key, until=min(key.until or now + keep_seconds, now + keep_seconds))
            for key in ring
        ]
        ours = {key.kid for key in _of_settings(settings)}
        new = Key(f"{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(4)}", _new_secret())
        kept = [
            replace(key, secret=None) if key.kid in ours else key
            for key in old
            # Of a key of the settings it is noted for good that it is trusted no more.
            if key.kid in ours or key.is_trusted(now)
        ]
        _write(path, [new, *kept])
    return new.kid


def key_file(settings: Settings) -> Path:
    """Return where this machine's own keys are."""
    return settings.data_dir.absolute() / "keys.json"


def kid_of(secret: str) -> str:
    """Return the name of a key of the settings: the same on every instance."""
    return hashlib.sha256(b"kid:" + secret.encode()).hexdigest()[:12]


def _of_settings(settings: Settings) -> tuple[Key, ...]:
    secret_values = [settings.jwt_secret, *settings.jwt_keys]
    return tuple(
        Key(kid_of(secret.get_secret_value()), secret.get_secret_value())
        for secret in secret_values
    )


def _merged(stored: Sequence[Key], ours: Sequence[Key]) -> tuple[Key, ...]:
    """Return the file's keys, newest first, then the settings' with what it notes of them."""
    noted = {key.kid: key.until for key in stored if key.secret is None}
    own = [key for key in stored if key.secret is not None]
    return (*own, *(replace(key, until=noted.get(key.kid)) for key in ours))


def _new_secret() -> str:
    return secrets.token_urlsafe(KEY_BYTES)


def _version(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def _stored(path: Path) -> list[Key]:
    try:
        return [Key(**each) for each in json.loads(path.read_text(encoding="utf-8"))["keys"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"the keys in {path} can't be used: {error}") from None


def _write(path: Path, keys: Sequence[Key]) -> None:
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"keys": [asdict(key) for key in keys]}, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    if os.geteuid() == 0:
        # Whoever runs the service has to read it, and owns its folder.
        owner = path.parent.stat()
        os.chown(draft, owner.st_uid, owner.st_gid)
    draft.replace(path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one rotation at a time read and replace the file."""
    data_folder(path.parent)
    with path.with_suffix(".lock").open("w") as lock:
        os.fchmod(lock.fileno(), PRIVATE_FILE)  # to open it is enough to hold it
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
