"""Images as this service shows them: those of a file store, and of a bucket if it is told to."""

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
    """An API whose images are files, with one image and, beside its directory, a secret."""
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


async def test_an_object_has_its_type_and_may_be_kept(shown):
    answer = await shown.get(f"/media/{KEY}")
    assert (answer.status_code, answer.content) == (200, b"RIFF....WEBP")
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["cache-control"] == CACHE_CONTROL
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


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
async def test_nothing_else_is_shown(shown, path):
    url = shown.base_url.copy_with(raw_path=f"/media/{path}".encode())
    answer = await shown.get(url)
    assert answer.status_code == 404, answer.text
    assert SECRET not in answer.text


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
async def test_pictures_are_for_everybody(shown, headers):
    for method, content in (("GET", b"RIFF....WEBP"), ("HEAD", b"")):
        answer = await shown.request(method, f"/media/{KEY}", headers=headers)
        assert (answer.status_code, answer.content) == (200, content)
    assert (await shown.get("/media/link", headers=headers)).status_code == 404


async def test_an_image_of_a_bucket_is_shown_with_all_that_the_bucket_cannot_say(api, client):
    course = await api.pictured(photos.jpeg())
    for variant in course["image"]["variants"]:
        assert variant["url"].startswith(f"{client.base_url}/media/courses/{course['id']}/")
        # From the bucket, from memory, and by the short way.
        answers = [await client.get(variant["url"]) for _ in range(6)]
        for answer in answers:
            assert (answer.status_code, len(answer.content)) == (200, variant["bytes"])
            assert answer.headers["content-type"] == "image/webp"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == CACHE_CONTROL
            assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
            assert answer.headers.keys() == answers[0].headers.keys()
        known = {"If-None-Match": answers[0].headers["etag"]}
        again = await client.get(variant["url"], headers=known)
        assert (again.status_code, again.content) == (304, b"")


async def test_a_bucket_has_nothing_else_to_show(client):
    for path in ("", "courses", "courses/", "..%2fmedia", "%2e%2e/media", "courses/no.webp", "%00"):
        url = client.base_url.copy_with(raw_path=f"/media/{path}".encode())
        answer = await client.get(url)
        assert answer.status_code == 404, path


async def test_media_is_nothing_of_ours_when_a_bucket_shows_the_images(production):
    answer = await production.client.get("/media/courses/1/320.webp")
    assert answer.status_code == 404
    assert answer.json()["message"] == "There is nothing at /media/courses/1/320.webp"
