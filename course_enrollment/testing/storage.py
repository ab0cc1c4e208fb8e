"""The contract of image stores."""

import asyncio
from urllib.parse import unquote
from uuid import uuid4

import pytest

from infra.storage import Storage, StorageRefused

WEBP = "image/webp"


class StorageContract:
    """Every store passes these; the fixture `storage` returns one, which may have other objects."""

    @pytest.fixture
    def folder(self) -> str:
        """Return a folder of the test's own."""
        return f"courses/{uuid4()}/"

    async def test_put_list_delete(self, storage: Storage, folder: str) -> None:
        keys = [f"{folder}{name}.webp" for name in ("1280", "320", "640", "a/b/c")]
        for key in reversed(keys):
            await storage.put(key, b"image", WEBP)
        assert await storage.list_keys(folder) == keys
        assert await storage.list_sizes(folder) == dict.fromkeys(keys, 5)
        assert set(keys) <= set(await storage.list_keys(""))
        assert await storage.delete_prefix(folder) == len(keys)
        assert await storage.list_keys(folder) == []

    async def test_an_object_is_read_as_it_was_stored(self, storage: Storage, folder: str) -> None:
        for data, content_type, name in (
            (b"image", WEBP, "a/320.webp"),
            (b"", "text/plain", "ein Bild+ä#?.txt"),
            (bytes(range(256)) * 4096, "image/png", "1.png"),
        ):
            await storage.put(f"{folder}{name}", data, content_type)
            found = await storage.get(f"{folder}{name}")
            assert found is not None
            assert (found.data, found.content_type) == (data, content_type)
        for name in ("a", "a/320.webp/b", "2.png", "a" * 300):
            assert await storage.get(f"{folder}{name}") is None
        await storage.delete_prefix(folder)
        assert await storage.get(f"{folder}a/320.webp") is None

    async def test_deleting_twice_and_deleting_nothing_succeed(
        self, storage: Storage, folder: str
    ) -> None:
        await storage.put(f"{folder}1.webp", b"image", WEBP)
        assert [await storage.delete_prefix(folder) for _ in range(2)] == [1, 0]

    async def test_a_prefix_is_text_and_not_a_folder(self, storage: Storage, folder: str) -> None:
        for name in ("a/1", "ab/1", "b/1"):
            await storage.put(f"{folder}{name}", b"image", WEBP)
        assert await storage.list_keys(f"{folder}a") == [f"{folder}a/1", f"{folder}ab/1"]
        assert await storage.delete_prefix(f"{folder}a/") == 1
        assert await storage.list_keys(folder) == [f"{folder}ab/1", f"{folder}b/1"]

    async def test_storing_again_replaces_the_object(self, storage: Storage, folder: str) -> None:
        for data in (b"old", b"new"):
            await storage.put(f"{folder}1.webp", data, WEBP)
        assert await storage.delete_prefix(folder) == 1

    async def test_many_concurrent_writes(self, storage: Storage, folder: str) -> None:
        puts = (storage.put(f"{folder}{n % 10}/{n % 20}", b"x" * n, WEBP) for n in range(60))
        await asyncio.gather(*puts)
        assert len(await storage.list_keys(folder)) == 20

    async def test_an_empty_prefix_is_not_deleted(self, storage: Storage, folder: str) -> None:
        await storage.put(f"{folder}1.webp", b"image", WEBP)
        for prefix in ("", "/", ".", "..", "../", "a/../b", "/etc"):
            with pytest.raises(StorageRefused):
                await storage.delete_prefix(prefix)
        with pytest.raises(StorageRefused):
            await storage.list_keys("../")
        assert await storage.list_keys(folder) == [f"{folder}1.webp"]

    @pytest.mark.parametrize(
        "key",
        [
            *("", "/a", "a//b", "../a", "a/../../b", "a/", ".incoming/a"),
            *("a\0b", "a\\b", "é" * 600),
        ],
    )
    async def test_keys_that_are_no_plain_path_are_refused(
        self, storage: Storage, key: str
    ) -> None:
        with pytest.raises(StorageRefused):
            await storage.put(key, b"image", WEBP)
        with pytest.raises(StorageRefused):
            await storage.get(key)

    async def test_a_url_is_quoted(self, storage: Storage, folder: str) -> None:
        key = f"{folder}ein Bild+ä#?.webp"
        await storage.put(key, b"image", WEBP)
        assert await storage.list_keys(folder) == [key]
        assert unquote(storage.url(key)).endswith(f"/{key}")
        assert not {" ", "#", "?", "+", "ä"} & set(storage.url(key))
        await storage.delete_prefix(folder)

    async def test_is_connected(self, storage: Storage) -> None:
        assert await storage.is_connected()
