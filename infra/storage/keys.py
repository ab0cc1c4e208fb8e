"""The names of objects: one rule for all stores, so that no key works in one of them only."""

from urllib.parse import quote

from infra.storage.errors import StorageRefused

MOST_BYTES = 1024  # S3's limit

CACHE_CONTROL = "public, max-age=31536000, immutable"  # a key's content never changes


def check_key(key: str) -> None:
    """Refuse a key that is not a plain relative path; names that start with a dot are ours."""
    plain = key.isprintable() and "\\" not in key and len(key.encode()) <= MOST_BYTES
    if not plain or any(not part or part.startswith(".") for part in key.split("/")):
        raise StorageRefused(f"{key[:100]!r} is not a usable key")


def check_prefix(prefix: str) -> None:
    """Refuse a prefix that would mean everything, or that no key can start with."""
    check_key(prefix.removesuffix("/"))


def public_url(base: str, key: str) -> str:
    """Return an object's address below a base address or path."""
    return f"{base.rstrip('/')}/{quote(key)}"
