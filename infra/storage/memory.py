"""The image store of tests: a dict in the process."""

from infra.storage.keys import check_key, check_prefix, public_url
from infra.storage.stored_object import StoredObject


class MemoryStorage:
    """The objects are in `objects`, where tests can read them."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self.objects: dict[str, StoredObject] = {}

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store the object."""
        check_key(key)
        self.objects[key] = StoredObject(data, content_type)

    async def get(self, key: str) -> StoredObject | None:
        """Return the object."""
        check_key(key)
        return self.objects.get(key)

    async def delete_prefix(self, prefix: str) -> int:
        """Delete the objects."""
        check_prefix(prefix)
        keys = await self.list_keys(prefix)
        for key in keys:
            del self.objects[key]
        return len(keys)

    async def list_keys(self, prefix: str) -> list[str]:
        """Return the keys, sorted."""
        return sorted(await self.list_sizes(prefix))

    async def list_sizes(self, prefix: str) -> dict[str, int]:
        """Return the sizes."""
        if prefix:
            check_prefix(prefix)
        return {key: len(each.data) for key, each in self.objects.items() if key.startswith(prefix)}

    def url(self, key: str) -> str:
        """Return the object's URL."""
        return public_url(self._base_url, key)

    async def is_connected(self) -> bool:
        """Return True: memory is always available."""
        return True
