"""The image store in a bucket: AWS, or an S3-compatible server at S3_ENDPOINT_URL."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from botocore import exceptions as boto
from botocore.config import Config
from pydantic import SecretStr

from infra.settings import Settings
from infra.storage.errors import StorageError, StorageRefused, StorageUnavailable
from infra.storage.keys import CACHE_CONTROL, check_key, check_prefix, public_url
from infra.storage.stored_object import DEFAULT_TYPE, StoredObject

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import ObjectIdentifierTypeDef

DELETE_BATCH = 1000  # S3's limit
PROBE_SECONDS = 2
_RETRIABLE_STATUSES = frozenset({408, 409, 425, 429})
_RETRIABLE_CODES = frozenset({"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException"})
_SERVER_ERROR = 500
_RETRIABLE_ERRORS = (
    boto.HTTPClientError,
    boto.ConnectionError,
    boto.MetadataRetrievalError,
    boto.CredentialRetrievalError,
)


class S3Storage:
    """Objects of one bucket, below a prefix if one is given."""

    def __init__(self, settings: Settings, bucket: str, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._base_url = settings.storage_public_url or _base_url(settings, bucket)
        # botocore's clients are thread-safe. Requests can't wait for retries and must not leave a
        # thread behind, so they have a client with short timeouts.
        self._client = _client(settings, connect=3, read=10, attempts=3)
        self._fast_client = _client(settings, connect=1, read=1, attempts=1)

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Put the object."""
        check_key(key)
        await asyncio.to_thread(self._put, key, data, content_type)

    async def get(self, key: str) -> StoredObject | None:
        """Get the object."""
        check_key(key)
        return await asyncio.to_thread(self._get, key)

    async def delete_prefix(self, prefix: str) -> int:
        """Delete the objects in batches."""
        check_prefix(prefix)
        return await asyncio.to_thread(self._delete, prefix)

    async def list_keys(self, prefix: str) -> list[str]:
        """Return the keys, sorted."""
        return sorted(await self.list_sizes(prefix))

    async def list_sizes(self, prefix: str) -> dict[str, int]:
        """Return the sizes of the objects."""
        if prefix:
            check_prefix(prefix)
        return await asyncio.to_thread(self._list, prefix)

    def url(self, key: str) -> str:
        """Return the object's URL, at the CDN if there is one."""
        return public_url(self._base_url, self._prefix + key)

    async def is_connected(self) -> bool:
        """Return whether the bucket is reachable with the credentials."""
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await asyncio.to_thread(self._fast_client.head_bucket, Bucket=self._bucket)
        except (TimeoutError, boto.ClientError, boto.BotoCoreError):
            return False
        return True

    def _put(self, key: str, data: bytes, content_type: str) -> None:
        with _translate_errors(f"put {key}"):
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + key,
                Body=data,
                ContentType=content_type,
                CacheControl=CACHE_CONTROL,
            )

    def _get(self, key: str) -> StoredObject | None:
        with _translate_errors(f"get {key}"):
            try:
                response = self._fast_client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            except self._fast_client.exceptions.NoSuchKey:
                return None
            return StoredObject(response["Body"].read(), response.get("ContentType", DEFAULT_TYPE))

    def _delete(self, prefix: str) -> int:
        # List everything first: a listing during deletion may skip keys.
        keys = sorted(self._list(prefix))
        for start in range(0, len(keys), DELETE_BATCH):
            batch = keys[start : start + DELETE_BATCH]
            objects: list[ObjectIdentifierTypeDef] = [{"Key": self._prefix + key} for key in batch]
            with _translate_errors(f"delete {prefix}"):
                response = self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True}
                )
            if errors := response.get("Errors"):
                first = errors[0]
                raise StorageUnavailable(
                    f"delete {prefix}: {len(errors)} objects were not deleted,"
                    f" the first is {first.get('Key')} ({first.get('Code')})"
                )
        return len(keys)

    def _list(self, prefix: str) -> dict[str, int]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        with _translate_errors(f"list {prefix}"):
            items = [item for page in pages for item in page.get("Contents", ())]
        return {item["Key"].removeprefix(self._prefix): item["Size"] for item in items}


def _client(settings: Settings, *, connect: int, read: int, attempts: int) -> "S3Client":
    config = Config(  # type: ignore[call-arg]  # an option that the stubs lack
        ignore_configured_endpoint_urls=True,  # AWS_ENDPOINT_URL is not one of our settings
        connect_timeout=connect,
        read_timeout=read,
        retries={"mode": "standard", "total_max_attempts": attempts},
        s3={"addressing_style": "path" if settings.s3_endpoint_url else "auto"},
    )
    try:
        return boto3.Session(
            aws_access_key_id=_reveal(settings.aws_access_key_id),
            aws_secret_access_key=_reveal(settings.aws_secret_access_key),
            aws_session_token=_reveal(settings.aws_session_token),
            region_name=settings.aws_region,
        ).client("s3", endpoint_url=settings.s3_endpoint_url, config=config)
    except (boto.BotoCoreError, ValueError) as error:
        raise StorageError(str(error)) from error


def _reveal(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _base_url(settings: Settings, bucket: str) -> str:
    if settings.s3_endpoint_url:
        return f"{settings.s3_endpoint_url.rstrip('/')}/{bucket}"
    return f"https://{bucket}.s3.{settings.aws_region}.amazonaws.com"


@contextmanager
def _translate_errors(action: str) -> Iterator[None]:
    """Translate errors of botocore."""
    try:
        yield
    except boto.ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        is_transient = status >= _SERVER_ERROR or status in _RETRIABLE_STATUSES
        kind = StorageUnavailable if is_transient or code in _RETRIABLE_CODES else StorageRefused
        raise kind(f"{action}: {code} ({status})") from error
    except _RETRIABLE_ERRORS as error:
        raise StorageUnavailable(f"{action}: {error}") from error
    except boto.BotoCoreError as error:
        # Missing credentials or an invalid bucket name: a retry doesn't help.
        raise StorageRefused(f"{action}: {error}") from error
