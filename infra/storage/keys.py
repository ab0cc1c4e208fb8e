"""The keys of objects: one rule for all stores, so that a key works in each of them."""

from urllib.parse import quote

from infra.storage.errors import StorageRefused

MAX_KEY_BYTES = 1024  # S3's limit

CACHE_CONTROL = "public, max-age=31536000, immutable"  # a key's content never changes


def check_key(key: str) -> None:
    """Refuse a key that is not a plain relative path; names with a leading dot are reserved."""
    plain = key.isprintable() and "\\" not in key and len(key.encode()) <= MAX_KEY_BYTES
    if not plain or any(not part or part.startswith(".") for part in key.split("/")):
        raise StorageRefused(f"{key[:100]!r} is not a usable key")


def check_prefix(prefix: str) -> None:
    """Refuse an empty prefix, and one that no key can start with."""
    check_key(prefix.removesuffix("/"))


def public_url(base: str, key: str) -> str:
    """Return an object's URL below a base URL or path."""
    return f"{base.rstrip('/')}/{quote(key)}"
