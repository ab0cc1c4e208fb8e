"""Images that this service serves, of a file store or, if set so, of a bucket."""

import httpx
import pytest

from infra.storage.keys import CACHE_CONTROL
from tests import photos
from tests.factories import bearer, token
from tests.security.servers import own_api

KEY = "courses/a/b/320.webp"
SECRET = "not-for-the-public"


@pytest.fixture(scope="module")
async def shown(service, tmp_path_factory):
    """An API with a file store: one image, and a secret beside its directory."""
    folder = tmp_path_factory.mktemp("files")
    root = folder / "media"
    (root / KEY).parent.mkdir(parents=True)
    (root / KEY).write_bytes(b"RIFF....WEBP")
    (root / "page.html").write_bytes(b"<script>alert(1)</script>")
    (folder / "secret.env").write_text(SECRET)
    (root / "link").symlink_to(folder / "secret.env")
    data = tmp_path_factory.mktemp("files-api")
    async with (
        own_api(service, data, STORAGE_URL=root.as_uri()) as server,
        httpx.AsyncClient(base_url=server.address) as client,
    ):
        yield client


async def test_an_object_has_its_type_and_is_cacheable(shown):
    response = await shown.get(f"/media/{KEY}")
    assert (response.status_code, response.content) == (200, b"RIFF....WEBP")
    assert response.headers["content-type"] == "image/webp"
    assert response.headers["cache-control"] == CACHE_CONTROL
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in response.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        "../secret.env",
        "%2e%2e/secret.env",
        "..%2fsecret.env",
        "courses/..%2f..%2fsecret.env",
        "%252e%252e%252fsecret.env",
        "..%5csecret.env",
        "%2fetc%2fpasswd",
        "link",
        ".incoming",
        "courses",
        "a%00b",
        "",
    ],
)
async def test_only_objects_are_served(shown, path):
    url = shown.base_url.copy_with(raw_path=f"/media/{path}".encode())
    response = await shown.get(url)
    assert response.status_code == 404, response.text
    assert SECRET not in response.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer(token()),
        bearer(token(role="admin")),
        bearer(token(exp=1)),
        bearer(token(secret="another-secret-of-at-least-32-bytes")),
        bearer("a.b.c"),
    ],
    ids=["nobody", "student", "admin", "expired", "forged", "malformed"],
)
async def test_images_are_public(shown, headers):
    for method, content in (("GET", b"RIFF....WEBP"), ("HEAD", b"")):
        response = await shown.request(method, f"/media/{KEY}", headers=headers)
        assert (response.status_code, response.content) == (200, content)
    assert (await shown.get("/media/link", headers=headers)).status_code == 404


async def test_an_image_of_a_bucket_is_served_with_security_headers(api, client):
    course = await api.pictured(photos.jpeg())
    for variant in course["image"]["variants"]:
        assert variant["url"].startswith(f"{client.base_url}/media/courses/{course['id']}/")
        # From the bucket, from memory, and on the fast path.
        responses = [await client.get(variant["url"]) for _ in range(6)]
        for response in responses:
            assert (response.status_code, len(response.content)) == (200, variant["bytes"])
            assert response.headers["content-type"] == "image/webp"
            assert response.headers["x-content-type-options"] == "nosniff"
            assert response.headers["cache-control"] == CACHE_CONTROL
            assert response.headers["cross-origin-resource-policy"] == "cross-origin"
            assert response.headers.keys() == responses[0].headers.keys()
        known = {"If-None-Match": responses[0].headers["etag"]}
        again = await client.get(variant["url"], headers=known)
        assert (again.status_code, again.content) == (304, b"")


async def test_only_images_of_a_bucket_are_served(client):
    for path in ("", "courses", "courses/", "..%2fmedia", "%2e%2e/media", "courses/no.webp", "%00"):
        url = client.base_url.copy_with(raw_path=f"/media/{path}".encode())
        response = await client.get(url)
        assert response.status_code == 404, path


async def test_there_is_no_media_route_when_the_bucket_serves_images(production):
    response = await production.client.get("/media/courses/1/320.webp")
    assert response.status_code == 404
    assert response.json()["message"] == "There is nothing at /media/courses/1/320.webp"
