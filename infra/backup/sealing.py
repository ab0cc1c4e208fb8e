"""Compression and encryption of the archive's objects with a key of a file.

An object is sealed as a whole, so that memory is bounded by the size of a part. Its name is
authenticated: an object that is moved to another name, or changed, can't be opened. Each object has
a key of its own, derived from the file's key, its name and a random salt.
"""

import binascii
import os
import zlib
from base64 import b64decode
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Self

from infra.backup.errors import BackupRefused, WrongKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_MAGIC = b"ENB1"
_ID_BYTES, _SALT_BYTES, _NONCE_BYTES = 8, 16, 12
_HEAD_BYTES = len(_MAGIC) + _ID_BYTES + _SALT_BYTES
# WAL and tables compress well even at the fastest level.
_LEVEL = 1


@dataclass(frozen=True)
class Keys:
    """The keys by their ids; the first one seals."""

    by_id: dict[bytes, bytes]
    path: Path

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file with a key in base64 a line.

        Raises:
            BackupRefused: cryptography isn't installed, the file can't be read, or has a line that
                is no key of 32 bytes.

        """
        if find_spec("cryptography") is None:
            raise BackupRefused("backups need the package cryptography: install the extra `backup`")
        try:
            lines = path.read_text("ascii").split()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not ASCII text"
            raise BackupRefused(f"BACKUP_KEY_FILE {path} can't be read: {reason}") from None
        keys = [_key(line, path) for line in lines]
        if not keys:
            raise BackupRefused(f"BACKUP_KEY_FILE {path} is empty")
        return cls({_derive(key, b"", b"id", _ID_BYTES): key for key in keys}, path)

    def seal(self, name: str, data: bytes) -> bytes:
        """Compress and encrypt the data of an object."""
        key_id, key = next(iter(self.by_id.items()))
        salt = os.urandom(_SALT_BYTES)
        cipher, nonce = _cipher(key, salt, name)
        sealed = cipher.encrypt(nonce, zlib.compress(data, _LEVEL), name.encode())
        return b"".join((_MAGIC, key_id, salt, sealed))

    def open(self, name: str, sealed: bytes) -> bytes:
        """Return the data of an object.

        Raises:
            WrongKey: another key has sealed it, or it was changed since.

        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  not in the image

        head, content = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES:]
        key_id, salt = head[len(_MAGIC) : -_SALT_BYTES], head[-_SALT_BYTES:]
        if not head.startswith(_MAGIC) or len(head) < _HEAD_BYTES:
            raise WrongKey(f"{name} is no object of a backup")
        if (key := self.by_id.get(key_id)) is None:
            own = ", ".join(each.hex() for each in self.by_id)
            raise WrongKey(
                f"wrong key: {name} was encrypted with the key {key_id.hex()}, and "
                f"BACKUP_KEY_FILE {self.path} has {own}"
            )
        cipher, nonce = _cipher(key, salt, name)
        try:
            return zlib.decompress(cipher.decrypt(nonce, content, name.encode()))
        except (InvalidTag, zlib.error):
            raise WrongKey(f"{name} is damaged: its content is not what was encrypted") from None


def _key(line: str, path: Path) -> bytes:
    try:
        key = b64decode(line, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise BackupRefused(
            f"BACKUP_KEY_FILE {path} has a line that is not {KEY_BYTES} bytes in base64; "
            f"`openssl rand -base64 {KEY_BYTES}` makes a key"
        )
    return key


def _derive(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415  not in the image
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415  not in the image

    return HKDF(SHA256(), length, salt, info).derive(key)


def _cipher(key: bytes, salt: bytes, name: str) -> "tuple[AESGCM, bytes]":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  not in the image

    derived = _derive(key, salt, b"object:" + name.encode(), KEY_BYTES + _NONCE_BYTES)
    return AESGCM(derived[:KEY_BYTES]), derived[KEY_BYTES:]
