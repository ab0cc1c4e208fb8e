"""Images of a file store, as this service shows them where no web server does."""

import httpx
import pytest

from infra.storage.keys import CACHE_CONTROL
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
