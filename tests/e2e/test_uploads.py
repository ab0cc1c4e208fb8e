"""Multipart forms with an image: the response, and the refusals."""

from uuid import UUID

import pytest

from tests import photos
from tests.factories import COURSE, NO_ID, TIME, refused, refused_for

DIFFICULTIES = "Difficulty must be one of: Beginner, Intermediate, Advanced"
NO_TITLE = ("title", "REQUIRED", "Title is required")
NO_DESCRIPTION = ("description", "REQUIRED", "Description is required")
NO_DIFFICULTY = ("difficulty", "REQUIRED", DIFFICULTIES)
NO_IMAGE = ("image", "REQUIRED", "Image is required")
NOT_A_FILE = ("image", "INVALID_TYPE", "Image must be a file")
NO_FORM = "The request body must be multipart/form-data"
LIMIT = 5 * 1024 * 1024
KEYS = {"id", "title", "description", "difficulty", "created_at", "updated_at"}
FORM = "multipart/form-data; boundary=b"


def part(name: str, content: bytes, *, filename: str | None = None) -> bytes:
    """Return a part of a form with the boundary `b`, as a browser sends it."""
    file = "" if filename is None else f'; filename="{filename}"'
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def form(*parts: bytes) -> dict:
    """Return the request of a course's fields and these parts."""
    fields = [part(name, value.encode()) for name, value in COURSE.items()]
    return {"content": b"".join([*fields, *parts, b"--b--\r\n"])}


@pytest.fixture(scope="module")
async def course(api):
    """A course that a refused image must not change."""
    return await api.new_course()


@pytest.fixture(params=["POST", "PUT"])
def send(request, api, course):
    """Sends an image by each of the calls that accept one."""

    async def send(image, name="photo.jpg", kind="image/jpeg"):
        files = {"image": (name, image, kind)}
        if request.param == "POST":
            return await api.call("POST", "/courses/upload", data=COURSE, files=files)
        return await api.call("PUT", f"/courses/{course['id']}/image", files=files)

    return send


async def raw_form(api, content: bytes, kind: str = FORM):
    """Send bytes as a form."""
    headers = api.headers | {"Content-Type": kind}
    return await api.client.post("/api/v1/courses/upload", content=content, headers=headers)


async def test_an_upload_is_answered_before_it_is_processed(api):
    response = await api.upload(photos.jpeg())
    assert response.status_code == 201
    course = response.json()
    assert course.keys() == KEYS | {"image"}
    assert {name: course[name] for name in COURSE} == COURSE
    assert course["image"].keys() == {"status", "task_id"}
    assert course["image"]["status"] == "processing"
    assert UUID(course["image"]["task_id"]).version == 7
    assert UUID(course["id"]).version == 7
    assert TIME.fullmatch(course["created_at"])
    assert response.headers["location"] == f"/api/v1/courses/{course['id']}"
    assert response.elapsed.total_seconds() < 2
    assert (await api.settled(course["id"]))["image"]["status"] == "ready"


async def test_an_upload_without_an_image_is_a_plain_course(api, client):
    files = {name: (None, value) for name, value in COURSE.items()}
    response = await api.call("POST", "/courses/upload", files=files)
    assert (response.status_code, response.json().keys()) == (201, KEYS)
    assert (await client.get(response.headers["location"])).json() == response.json()


async def test_an_empty_file_field_is_no_image(api):
    response = await raw_form(api, **form(part("image", b"", filename="")))
    assert (response.status_code, response.json().keys()) == (201, KEYS)


async def test_an_empty_text_as_the_image_is_no_image(api, course):
    response = await raw_form(api, **form(part("image", b"")))
    assert (response.status_code, response.json().keys()) == (201, KEYS)
    files = {"image": (None, "")}
    refused_for(await api.call("PUT", f"/courses/{course['id']}/image", files=files), NO_IMAGE)


@pytest.mark.parametrize(
    ("image", "name", "kind"),
    [
        (photos.jpeg, "evil.html", "text/html"),
        (photos.webp, "../../etc/passwd", "application/octet-stream"),
        (photos.animated_gif, "photo.jpg", "image/jpeg"),
        (photos.phone_jpeg, "Ünïcode 📷.jpg", "image/jpeg"),
    ],
)
async def test_the_type_of_an_image_is_read_from_its_content(api, send, image, name, kind):
    response = await send(image(), name, kind)
    assert response.status_code in {201, 202}, response.text
    assert (await api.settled(response.json()["id"]))["image"]["status"] == "ready"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"plain text",
        photos.HTML,
        photos.SVG,
        b"%PDF-1.7\n",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\x04\0\0\0WEBP",
        photos.encoded(photos.photograph(64, 64), "BMP"),
        photos.encoded(photos.photograph(64, 64), "TIFF"),
        photos.encoded(photos.photograph(64, 64), "ICO"),
    ],
    ids=lambda data: repr(data[:12]),
)
async def test_unsupported_files_are_415(send, data):
    message = "The image must be a JPEG, PNG, GIF or WebP"
    refused(await send(data), 415, "UNSUPPORTED_MEDIA_TYPE", message, "image")


@pytest.mark.parametrize(
    ("bomb", "pixels", "most"),
    [
        (photos.bomb_png, "900,000,000", "24,000,000"),
        (photos.bomb_webp, "4,294,836,225", "12,600,000"),
        (photos.huge_jpeg, "64,000,000", "50,000,000"),
        (photos.huge_progressive_jpeg, "25,000,000", "24,000,000"),
    ],
)
async def test_a_decompression_bomb_is_refused(send, bomb, pixels, most):
    message = f"The image has {pixels} pixels; at most {most} are allowed"
    refused(await send(bomb()), 413, "PAYLOAD_TOO_LARGE", message, "image")


async def test_an_image_may_have_exactly_5_megabytes(api, send):
    image = photos.jpeg()
    whole = image + bytes(LIMIT - len(image))
    message = "An image may have at most 5242880 bytes"
    refused(await send(whole + b"\0"), 413, "PAYLOAD_TOO_LARGE", message, "image")
    response = await send(whole)
    assert response.status_code in {201, 202}, response.text
    assert (await api.settled(response.json()["id"]))["image"]["status"] == "ready"


@pytest.mark.parametrize("megabytes", [6, 7, 12])
async def test_a_form_over_the_limit_names_the_limit_of_the_image(send, megabytes):
    message = "An image may have at most 5242880 bytes"
    response = await send(photos.jpeg() + bytes(megabytes * 1024 * 1024))
    refused(response, 413, "PAYLOAD_TOO_LARGE", message, "image")


NAMED = [
    b'; filename="caf\xe9 \xfc.jpg"',
    b"; filename=caf\xe9.jpg",
    '; filename="café 日本.jpg"'.encode(),
    b"; filename*=UTF-8''caf%C3%A9.jpg",
    b"; filename*=ISO-8859-1'en'caf%E9.jpg",
    b"; filename*=utf-8''a%20b.jpg",
    b"; filename*=unknown''a.jpg",
    b"; filename=\"a.jpg\"; filename*=UTF-8''b.jpg",
]


@pytest.mark.parametrize("name", NAMED)
async def test_a_file_may_have_any_name(api, name):
    head = b'--b\r\nContent-Disposition: form-data; name="image"' + name + b"\r\n\r\n"
    response = await raw_form(api, **form(head + photos.jpeg(20, 10) + b"\r\n"))
    assert response.status_code == 201, response.text
    assert response.json()["image"]["status"] == "processing"


@pytest.mark.parametrize("content", [photos.jpeg(20, 10), b"\xff", b"text", "Grün".encode()])
async def test_a_part_without_a_file_name_is_no_file(api, course, content):
    whole = form(part("image", content))["content"]
    refused_for(await raw_form(api, whole), NOT_A_FILE)
    headers = api.headers | {"Content-Type": FORM}
    path = f"/api/v1/courses/{course['id']}/image"
    alone = part("image", content) + b"--b--\r\n"
    refused_for(await api.client.put(path, content=alone, headers=headers), NOT_A_FILE)


async def test_a_refused_image_creates_no_course(api, client):
    title = {"title": f"Refused {NO_ID}"}
    await api.upload(b"plain text", **title)
    await api.upload(photos.bomb_png(), **title)
    listed = (await client.get("/api/v1/courses", params={"search": title["title"]})).json()
    assert listed["data"] == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"title": ...}, NO_TITLE),
        ({"title": ""}, NO_TITLE),
        ({"title": "x" * 256}, ("title", "TOO_LONG", "Title must have at most 255 characters")),
        ({"description": ...}, NO_DESCRIPTION),
        ({"description": ""}, NO_DESCRIPTION),
        ({"difficulty": ...}, NO_DIFFICULTY),
        ({"difficulty": ""}, NO_DIFFICULTY),
        ({"difficulty": "Expert"}, ("difficulty", "NOT_ALLOWED", DIFFICULTIES)),
        ({"image": "photo.jpg"}, NOT_A_FILE),
        (
            {"image_url": "https://example.org/a.png"},
            ("image_url", "UNKNOWN_FIELD", "There is no field called 'image_url'"),
        ),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_an_invalid_form_field_is_named(api, changes, fault):
    fields = {name: value for name, value in (COURSE | changes).items() if value is not ...}
    files = {name: (None, value) for name, value in fields.items()}
    refused_for(await api.call("POST", "/courses/upload", files=files), fault)


async def test_all_invalid_form_fields_are_named(api):
    files = {"title": ("title.txt", b"A file"), "x": (None, "1")}
    refused_for(
        await api.call("POST", "/courses/upload", files=files),
        ("title", "INVALID_TYPE", "Title must be text"),
        NO_DESCRIPTION,
        NO_DIFFICULTY,
        ("x", "UNKNOWN_FIELD", "There is no field called 'x'"),
    )
    empty = await raw_form(api, b"--b--\r\n")
    refused_for(empty, NO_TITLE, NO_DESCRIPTION, NO_DIFFICULTY)


@pytest.mark.parametrize(
    ("files", "faults"),
    [
        ({"image": (None, "photo.jpg")}, [NOT_A_FILE]),
        (
            {"picture": ("photo.jpg", b"x")},
            [NO_IMAGE, ("picture", "UNKNOWN_FIELD", "There is no field called 'picture'")],
        ),
    ],
    ids=["text", "another name"],
)
async def test_a_replacement_image_must_be_a_file(api, course, files, faults):
    response = await api.call("PUT", f"/courses/{course['id']}/image", files=files)
    refused_for(response, *faults)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (form()["content"], "multipart/form-data"),
        (form()["content"], "multipart/mixed; boundary=b"),
        (form()["content"], "text/plain"),
    ],
)
async def test_another_media_type_is_refused(api, content, kind):
    refused(await raw_form(api, content, kind), 400, "INVALID_FORMAT", NO_FORM, "body")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"--another\r\n",
        form()["content"].removesuffix(b"--b--\r\n"),
        form()["content"][:40],
        form(part("title", b"Another"))["content"],
        form(part("image", b"1", filename="1"), part("image", b"2", filename="2"))["content"],
        form(*(part(f"x{number}", b"") for number in range(30)))["content"],
        form(part("x", b"\xff\xfe"))["content"],
        b"--b\r\nContent-Disposition: form-data\r\n\r\nnameless\r\n--b--\r\n",
        b"--b\r\nno header\r\n\r\n\r\n--b--\r\n",
    ],
    ids=[
        "empty", "another boundary", "no end", "cut in a header", "a field twice",
        "two images", "too many parts", "not UTF-8", "no name", "no header",
    ],
)  # fmt: skip
async def test_a_malformed_form_is_refused(api, content):
    response = await raw_form(api, content)
    message = response.json()["message"]
    assert message.startswith("The form is malformed: ")
    refused(response, 400, "INVALID_FORMAT", message, "body")
