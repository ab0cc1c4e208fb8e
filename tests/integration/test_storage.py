"""The contract of every image store, and the faults of a bucket."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from botocore.stub import Stubber

from course_enrollment.testing.storage import WEBP, StorageContract
from deploy.embedded.servers import running
from infra.settings import Settings
from infra.storage import (
    Storage,
    StorageError,
    StorageRefused,
    StorageUnavailable,
    open_storage,
)
from infra.storage.measured import MeasuredStorage
from infra.storage.s3 import S3Storage

GIVE_UP_SECONDS = 15
CONNECTED_SECONDS = 2.5


def settings(**values: object) -> Settings:
    """Return settings that depend on no `.env` and no environment."""
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


def lowered(environment: dict[str, str]) -> dict[str, object]:
    return {key.lower(): value for key, value in environment.items()}


@pytest_asyncio.fixture(scope="module")
async def bucket(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, object]]:
    """Return the settings of a running bucket."""
    folder = tmp_path_factory.mktemp("bucket")
    async with running(folder, only={"storage"}, fsync=False) as servers:
        yield lowered(servers.environment)


def bucket_of(settings: Settings) -> S3Storage:
    """Open a bucket without what counts its calls."""
    store = open_storage(settings)
    assert isinstance(store, MeasuredStorage)
    assert isinstance(store.inner, S3Storage)
    return store.inner


@pytest.fixture(params=["memory", "file", "s3", "s3 below a prefix"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """Return each kind of store, empty."""
    if request.param == "memory":
        return open_storage(settings(storage_url="memory://"))
    if request.param == "file":
        return open_storage(settings(storage_url=f"file://{tmp_path}/images"))
    values = request.getfixturevalue("bucket")
    below = uuid4().hex if request.param == "s3 below a prefix" else ""
    return open_storage(settings(**values | {"storage_url": f"s3://media/{below}"}))


@pytest.fixture
def folder() -> str:
    """Return a folder of the test's own, for the bucket is shared."""
    return f"courses/{uuid4()}/"


class TestEachStore(StorageContract):
    """The contract that packages run, too."""


async def test_objects_are_public_and_cacheable(bucket: dict[str, object], folder: str) -> None:
    store = open_storage(settings(**bucket))
    key = f"{folder}ein Bild+ä.webp"
    await store.put(key, b"image", WEBP)
    async with httpx.AsyncClient() as client:
        response = await client.get(store.url(key))
        assert response.status_code == httpx.codes.OK
        assert response.content == b"image"
        assert response.headers["Content-Type"] == WEBP
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        await store.put(key, b"another", WEBP)
        assert (await client.get(store.url(key))).content == b"another"
        await store.delete_prefix(folder)
        assert (await client.get(store.url(key))).status_code == httpx.codes.NOT_FOUND


async def test_more_objects_are_deleted_than_one_request_allows(
    bucket: dict[str, object], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.storage.s3.DELETE_BATCH", 10)
    store = open_storage(settings(**bucket))
    await asyncio.gather(*(store.put(f"{folder}{n}", b"x", WEBP) for n in range(25)))
    assert await store.delete_prefix(folder) == 25
    assert await store.list_keys(folder) == []


@pytest.mark.timeout(60)
async def test_more_objects_are_listed_than_one_page_has(
    bucket: dict[str, object], folder: str
) -> None:
    store = open_storage(settings(**bucket))
    await asyncio.gather(*(store.put(f"{folder}{n}", b"x", WEBP) for n in range(1001)))
    assert len(await store.list_keys(folder)) == 1001
    assert await store.delete_prefix(folder) == 1001


async def test_an_object_that_cannot_be_deleted_raises(
    bucket: dict[str, object], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = bucket_of(settings(**bucket))
    await store.put(f"{folder}1", b"x", WEBP)
    response = {"Errors": [{"Key": f"{folder}1", "Code": "InternalError"}]}
    monkeypatch.setattr(store._client, "delete_objects", lambda **_: response)  # noqa: SLF001  it has no public name
    with pytest.raises(StorageUnavailable, match=r"1 objects were not deleted.*InternalError"):
        await store.delete_prefix(folder)


@pytest.mark.parametrize(
    "wrong",
    [
        {"aws_secret_access_key": "wrong"},
        {"aws_access_key_id": "wrong"},
        {"storage_url": "s3://no-such-bucket"},
    ],
    ids=["secret", "key id", "bucket"],
)
async def test_a_configuration_error_of_the_bucket_is_permanent(
    bucket: dict[str, object], folder: str, wrong: dict[str, object]
) -> None:
    store = open_storage(settings(**bucket | wrong))
    calls = [store.list_keys(folder), store.delete_prefix(folder)]
    if "storage_url" not in wrong:  # SeaweedFS creates a bucket when an administrator writes to it
        calls.append(store.put(f"{folder}1", b"x", WEBP))
    for call in calls:
        with pytest.raises(StorageRefused) as caught:
            await call
        assert "wrong" not in str(caught.value)
    assert not await store.is_connected()


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("NoSuchBucket", 404, StorageRefused),
        ("AccessDenied", 403, StorageRefused),
        ("PermanentRedirect", 301, StorageRefused),
        ("RequestTimeout", 400, StorageUnavailable),
        ("OperationAborted", 409, StorageUnavailable),
        ("InternalError", 500, StorageUnavailable),
        ("SlowDown", 503, StorageUnavailable),
    ],
)
async def test_a_buckets_error_code_becomes_a_storage_error(
    code: str, status: int, error: type[StorageError]
) -> None:
    keys = {"aws_access_key_id": "id", "aws_secret_access_key": "secret"}
    store = bucket_of(settings(storage_url="s3://b", **keys))
    with Stubber(store._client) as stub:  # noqa: SLF001  it has no public name
        stub.add_client_error("put_object", code, http_status_code=status)
        with pytest.raises(error, match=rf"put a/1: {code} \({status}\)"):
            await store.put("a/1", b"x", WEBP)


def test_boto3_is_only_imported_for_a_bucket() -> None:
    program = "import sys, infra.storage; sys.exit('boto3' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


async def assert_unavailable(store: Storage) -> None:
    started = time.perf_counter()
    with pytest.raises(StorageUnavailable):
        await store.put("courses/1", b"x", WEBP)
    assert time.perf_counter() - started < GIVE_UP_SECONDS
    started = time.perf_counter()
    assert not await store.is_connected()
    assert time.perf_counter() - started < CONNECTED_SECONDS


async def test_a_server_that_dies_and_returns(tmp_path: Path) -> None:
    async with running(tmp_path, only={"storage"}, fsync=False) as servers:
        store = open_storage(settings(**lowered(servers.environment)))
        await store.put("courses/1", b"x", WEBP)
        await servers.stop("storage")
        await assert_unavailable(store)
        await servers.start("storage")
        assert await store.is_connected()
        assert await store.list_keys("courses/") == ["courses/1"]


async def test_a_server_that_never_answers(bucket: dict[str, object]) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        store = open_storage(settings(**bucket | {"s3_endpoint_url": endpoint}))
        started = time.perf_counter()
        assert not await store.is_connected()
        assert time.perf_counter() - started < CONNECTED_SECONDS
        with pytest.raises(StorageUnavailable):
            await store.get("courses/1/320.webp")
        assert time.perf_counter() - started < 2 * CONNECTED_SECONDS


async def test_a_health_check_has_a_timeout_and_leaves_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = bucket_of(settings(storage_url="s3://b"))
    prompt = store._fast_client  # noqa: SLF001  it has no public name
    config = prompt.meta.config
    assert config.connect_timeout + config.read_timeout <= 2  # type: ignore[attr-defined]
    monkeypatch.setattr(prompt, "head_bucket", lambda **_: time.sleep(3))  # a silent name server
    started = time.perf_counter()
    assert not await store.is_connected()
    assert time.perf_counter() - started < CONNECTED_SECONDS


@pytest.mark.parametrize(
    ("values", "address"),
    [
        ({"storage_url": "s3://b"}, "https://b.s3.ap-southeast-2.amazonaws.com/k%20/1.webp"),
        (
            {"s3_bucket_name": "b", "aws_region": "eu-west-1"},
            "https://b.s3.eu-west-1.amazonaws.com/k%20/1.webp",
        ),
        (
            {"storage_url": "s3://b/x/y/"},
            "https://b.s3.ap-southeast-2.amazonaws.com/x/y/k%20/1.webp",
        ),
        ({"storage_url": "s3://b", "s3_endpoint_url": "http://h:1/"}, "http://h:1/b/k%20/1.webp"),
        (
            {"storage_url": "s3://b", "storage_public_url": "https://cdn.example/"},
            "https://cdn.example/k%20/1.webp",
        ),
        ({"storage_url": "memory://"}, "/media/k%20/1.webp"),
        (
            {"storage_url": "file:///var/i", "port": 8081},
            "http://127.0.0.1:8081/media/k%20/1.webp",
        ),
        (
            {"storage_url": "file:///var/i", "host": "0.0.0.0"},  # noqa: S104  not bound
            "http://localhost:8080/media/k%20/1.webp",
        ),
        ({"storage_url": "file:///var/i", "host": "::1"}, "http://[::1]:8080/media/k%20/1.webp"),
        (
            {"storage_url": "memory://", "storage_public_url": "https://cdn.example/i"},
            "https://cdn.example/i/k%20/1.webp",
        ),
    ],
)
def test_the_public_base_url(values: dict[str, object], address: str) -> None:
    assert open_storage(settings(**values)).url("k /1.webp") == address


@pytest.mark.parametrize(
    "url", [None, "s3://", "s3:///key", "file://", "file:///", "file://host/dir"]
)
def test_an_invalid_storage_url_is_refused(url: str | None) -> None:
    with pytest.raises(StorageError, match="STORAGE_URL"):
        open_storage(settings(storage_url=url))


def test_an_invalid_endpoint_is_refused() -> None:
    with pytest.raises(StorageError, match="endpoint"):
        open_storage(settings(storage_url="s3://b", s3_endpoint_url="http://a b"))


async def test_files_are_written_atomically(tmp_path: Path) -> None:
    store = open_storage(settings(storage_url=f"file://{tmp_path}/images"))
    await store.put("courses/1/320.webp", b"image", WEBP)
    assert (tmp_path / "images/courses/1/320.webp").read_bytes() == b"image"
    assert (tmp_path / "images/courses/1/320.webp").stat().st_mode & 0o777 == 0o644
    assert not any((tmp_path / "images/.incoming").iterdir())
    await store.delete_prefix("courses/1/")
    assert not (tmp_path / "images/courses").exists()


async def test_keys_never_leave_the_directory(tmp_path: Path) -> None:
    store = open_storage(settings(storage_url=f"file://{tmp_path}/images"))
    (tmp_path / "images/out").symlink_to(tmp_path)
    with pytest.raises(StorageRefused, match="leaves"):
        await store.put("out/1.webp", b"image", WEBP)
    assert not (tmp_path / "1.webp").exists()
    (tmp_path / "2.webp").write_bytes(b"of somebody else")
    with pytest.raises(StorageRefused, match="leaves"):
        await store.get("out/2.webp")


async def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    store = open_storage(settings(storage_url=f"file://{tmp_path}/images"))
    (tmp_path / "images").rename(tmp_path / "unmounted")
    assert not await store.is_connected()
    for call in (
        store.put("a/1", b"image", WEBP),
        store.get("a/1"),
        store.list_keys(""),
        store.delete_prefix("a/"),
    ):
        with pytest.raises(StorageUnavailable):
            await call
    assert not (tmp_path / "images").exists()


async def test_a_key_below_a_file_is_an_error(tmp_path: Path) -> None:
    store = open_storage(settings(storage_url=f"file://{tmp_path}"))
    await store.put("a", b"image", WEBP)
    with pytest.raises(StorageRefused):
        await store.put("a/b", b"image", WEBP)
    assert not any((tmp_path / ".incoming").iterdir())


async def test_a_partial_file_after_a_crash_is_no_object(tmp_path: Path) -> None:
    store = open_storage(settings(storage_url=f"file://{tmp_path}"))
    (tmp_path / ".incoming/left").touch()
    assert await store.list_keys("") == []
