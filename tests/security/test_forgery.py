"""The service sends no requests to URLs that clients provide."""

import asyncio

from tests import photos


async def test_an_image_url_is_never_fetched(api, client):
    called = []

    async def note(_reader, writer):
        called.append(writer.get_extra_info("peername"))
        writer.close()

    listener = await asyncio.start_server(note, "127.0.0.1", 0)
    async with listener:
        address = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/picture.png"
        course = await api.new_course(image_url=address)
        assert course["image_url"] == address
        await api.call(
            "PUT",
            f"/courses/{course['id']}",
            json={
                "title": "Another",
                "description": "One",
                "difficulty": "Beginner",
                "image_url": address,
            },
        )
        shown = (await client.get(f"/api/v1/courses/{course['id']}")).json()
        assert shown["image_url"] == address
        # Tasks fetch nothing either: a later task of the same worker has already run.
        await api.pictured(photos.jpeg(64, 48))
    assert called == []
