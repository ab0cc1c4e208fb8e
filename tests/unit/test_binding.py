"""Request bytes become typed values, and each fault has a field, a code and a message."""

from types import SimpleNamespace
from typing import Annotated
from uuid import UUID

import orjson
import pytest
from pydantic import BaseModel, Field

from api.endpoint import binding
from api.protocol import request_body
from api.protocol.request_body import read_body
from api.schemas.fields import CourseId, Email
from api.schemas.requests import (
    CourseIn,
    CourseQuery,
    CourseUploadForm,
    EnrollmentIn,
    EnrollmentQuery,
    ImageForm,
    LoginIn,
    PageQuery,
)
from infra.settings import Settings
from models import Difficulty
from services.catalogue.queries import Sort
from services.errors import Code, Invalid, TooLarge
from services.fields import MAX_NAME
from tests.factories import COURSE, NO_ID

DIFFICULTY = "Difficulty must be one of: Beginner, Intermediate, Advanced"


def body(content, model):
    return binding.json_body(content, model)


def query(text, model):
    return binding.query(SimpleNamespace(query_string=text), model)


def form(content, model=CourseUploadForm, kind="multipart/form-data; boundary=b"):
    return binding.multipart_form(content, kind, model)


def part(name, content=b"", *, file=None, headers=""):
    named = f'name="{name}"' + ("" if file is None else f'; filename="{file}"')
    head = f"--b\r\nContent-Disposition: form-data; {named}\r\n{headers}\r\n"
    return head.encode() + content + b"\r\n"


def parts(*given, **fields):
    texts = [part(name, value.encode()) for name, value in (COURSE | fields).items()]
    return b"".join([*texts, *given]) + b"--b--\r\n"


def faults(call, *arguments):
    with pytest.raises(Invalid) as caught:
        call(*arguments)
    return [(fault.field, fault.code, fault.message) for fault in caught.value.faults]


# --- JSON ---------------------------------------------------------------------------------------


def test_a_body_becomes_a_trimmed_model():
    found = body(b'{"title": "  T ", "description": "D", "difficulty": "Beginner"}', CourseIn)
    assert (found.title, found.difficulty, found.image_url) == ("T", Difficulty.BEGINNER, None)


def test_a_password_is_not_trimmed():
    assert body(b'{"username": "a", "password": " p "}', LoginIn).password == " p "


@pytest.mark.parametrize("content", [b"", b"{", b"nonsense", b"\xff\xfe", b'{"a": NaN}', b"{}{}"])
def test_a_body_that_is_not_json_is_refused(content):
    [(field, code, message)] = faults(body, content, LoginIn)
    assert (field, code) == ("body", Code.MALFORMED_JSON)
    assert message.startswith("The request body is not valid JSON: ")


@pytest.mark.parametrize(
    "content",
    [
        b'{"a":1,"a":2}',
        b'{"a":":","a":"::"}',
        b'{"b":{},"a" : 1,"\\u0061" : 1}',
        b'{"b":[{"a":1,"a":2}]}',
    ],
)
def test_a_duplicate_field_is_refused(content):
    message = "The request body has the field 'a' twice"
    assert faults(body, content, LoginIn) == [("body", Code.MALFORMED_JSON, message)]


def test_a_body_may_contain_colons():
    assert body(b'{"username": "::", "password": ":"}', LoginIn).username == "::"


@pytest.mark.parametrize("content", [b"[]", b"null", b'"text"', b"1", b"true"])
def test_a_body_that_is_not_an_object_is_refused(content):
    assert faults(body, content, LoginIn) == [
        ("body", Code.MALFORMED_JSON, "The request body must be a JSON object")
    ]


class Stream:
    """A request whose body comes in chunks."""

    def __init__(self, *chunks, **headers):
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.stream = self
        self.app = SimpleNamespace(ctx=SimpleNamespace(settings=Settings(_env_file=None)))
        self.chunks = list(chunks)
        # The length is unknown at first.
        self.request_body = "chunked"

    async def read(self):
        return self.chunks.pop(0) if self.chunks else None


@pytest.mark.parametrize("chunks", [(), (b"12345",), (b"123", b"45"), (b"1",) * 5])
async def test_a_body_up_to_the_limit_is_read(chunks):
    request = Stream(*chunks, content_length=str(sum(map(len, chunks))))
    assert await read_body(request, 5) == b"".join(chunks)


@pytest.mark.parametrize("arrived", [0, 4, 5, 9])
async def test_a_body_is_awaited_only_if_it_has_not_arrived(arrived, monkeypatch):
    waits = []
    monkeypatch.setattr(
        request_body, "Deadline", lambda *_: waits.append(1) or SimpleNamespace(extend=id)
    )
    request = Stream(b"12345", content_length="5")
    request.request_body, request.request_bytes_left = True, 5
    # The client has already sent its next request.
    request.recv_buffer = bytearray(b"12345GET "[:arrived])
    assert await read_body(request, 5) == b"12345"
    assert len(waits) == (arrived < 5)


@pytest.mark.parametrize("headers", [{}, {"content_length": "6"}])
@pytest.mark.parametrize("chunks", [(b"123456",), (b"123", b"456"), (b"1",) * 6])
async def test_a_body_over_the_limit_is_refused_and_not_read_further(chunks, headers):
    request = Stream(*chunks, **headers)
    with pytest.raises(TooLarge, match="at most 5 bytes"):
        await read_body(request, 5)
    # A Content-Length over the limit is refused before anything is read.
    assert len(request.chunks) == (len(chunks) if headers else 0)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"{}", ("username", Code.REQUIRED, "Username is required")),
        (b'{"username": ""}', ("username", Code.REQUIRED, "Username is required")),
        (b'{"username": null}', ("username", Code.REQUIRED, "Username is required")),
        (b'{"username": 1}', ("username", Code.INVALID_TYPE, "Username must be text")),
        (b'{"username": ["a"]}', ("username", Code.INVALID_TYPE, "Username must be text")),
        (
            b'{"username": "a\\u0000"}',
            ("username", Code.INVALID_FORMAT, "The character U+0000 is not allowed"),
        ),
        (
            b'{"username": "' + b"x" * 256 + b'"}',
            ("username", Code.TOO_LONG, "Username must have at most 255 characters"),
        ),
    ],
)
def test_faults_of_a_text_field(content, expected):
    assert faults(body, content, LoginIn)[0] == expected


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("", Code.REQUIRED),
        (None, Code.REQUIRED),
        ("expert", Code.NOT_ALLOWED),
        ("beginner", Code.NOT_ALLOWED),
        (1, Code.NOT_ALLOWED),
        (["Beginner"], Code.NOT_ALLOWED),
        ({}, Code.NOT_ALLOWED),
    ],
)
def test_all_faults_of_difficulty_have_one_message(value, code):
    content = orjson.dumps(COURSE | {"difficulty": value})
    assert faults(body, content, CourseIn) == [("difficulty", code, DIFFICULTY)]


def test_a_missing_difficulty_has_the_same_message():
    content = b'{"title": "T", "description": "D"}'
    assert faults(body, content, CourseIn) == [("difficulty", Code.REQUIRED, DIFFICULTY)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"{}", "Student email is required"),
        (b'{"student_email": "  "}', "Student email is required"),
        (b'{"student_email": 1}', "Student email must be text"),
        (b'{"student_email": "a@b"}', "Invalid email format"),
    ],
)
def test_faults_of_an_email(content, expected):
    assert faults(body, content, EnrollmentIn)[0][2] == expected


def test_an_email_is_trimmed_and_in_lower_case():
    content = f'{{"student_email": " A.B@Example.ORG ", "course_id": "{NO_ID}"}}'
    assert body(content.encode(), EnrollmentIn).student_email == "a.b@example.org"


@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        ("null", Code.REQUIRED, "Course ID is required"),
        ('""', Code.REQUIRED, "Course ID is required"),
        (
            '"00000000-0000-0000-0000-000000000000"',
            Code.REQUIRED,
            "Course ID is required",
        ),
        ('"12"', Code.INVALID_FORMAT, "Course ID must be a valid UUID"),
        ("12", Code.INVALID_TYPE, "Course ID must be text"),
    ],
)
def test_faults_of_an_id(value, code, message):
    content = f'{{"student_email": "a@b.org", "course_id": {value}}}'.encode()
    assert faults(body, content, EnrollmentIn) == [("course_id", code, message)]


@pytest.mark.parametrize("url", ["ftp://a/b", "a", "http://", "javascript:alert(1)", "https://a b"])
def test_faults_of_a_url(url):
    content = (
        f'{{"title": "T", "description": "D", "difficulty": "Beginner", "image_url": "{url}"}}'
    )
    assert faults(body, content.encode(), CourseIn) == [
        ("image_url", Code.INVALID_FORMAT, "Image URL must be a valid URL")
    ]


def test_unknown_fields_are_named_and_truncated():
    long = "x" * 500
    content = f'{{"username": "a", "password": "b", "{long}": 1, "{{label}}": 2}}'.encode()
    shown = long[:MAX_NAME]
    assert faults(body, content, LoginIn) == [
        (shown, Code.UNKNOWN_FIELD, f"There is no field called '{shown}'"),
        ("{label}", Code.UNKNOWN_FIELD, "There is no field called '{label}'"),
    ]


def test_all_faults_are_reported_in_the_order_of_the_fields():
    found = faults(body, b'{"difficulty": "x", "title": 1, "description": ""}', CourseIn)
    assert [(field, code) for field, code, _ in found] == [
        ("title", Code.INVALID_TYPE),
        ("description", Code.REQUIRED),
        ("difficulty", Code.NOT_ALLOWED),
    ]


def test_an_unexpected_fault_is_still_reported():
    class Odd(BaseModel):
        odd_one: Annotated[float, Field(multiple_of=2)]

    assert faults(body, b'{"odd_one": 3}', Odd) == [
        ("odd_one", Code.INVALID_FORMAT, "Odd one is not valid")
    ]


# --- Query --------------------------------------------------------------------------------------


def test_an_empty_query_has_the_defaults():
    found = query("", CourseQuery)
    assert (found.page, found.limit, found.search, found.sort) == (1, 10, None, Sort.NEWEST)
    assert found.difficulty == frozenset()


@pytest.mark.parametrize("text", ["page=&limit=&sort=&difficulty=&search=", "page", "&&", "=1"])
def test_blank_parameters_count_as_missing(text):
    assert query(text, CourseQuery) == CourseQuery()


def test_unknown_parameters_are_ignored_and_the_last_repetition_counts():
    assert query("utm_source=x&page=2&page=3&Page=9", CourseQuery).page == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("page=0", ("page", Code.OUT_OF_RANGE, "Page must be at least 1")),
        ("page=1000001", ("page", Code.OUT_OF_RANGE, "Page must be at most 1000000")),
        ("page=x", ("page", Code.INVALID_TYPE, "Page must be a whole number")),
        ("page=1.5", ("page", Code.INVALID_TYPE, "Page must be a whole number")),
        (f"page={'9' * 5000}", ("page", Code.INVALID_TYPE, "Page must be a whole number")),
        ("limit=-1", ("limit", Code.OUT_OF_RANGE, "Limit must be at least 1")),
        ("limit=0", ("limit", Code.OUT_OF_RANGE, "Limit must be at least 1")),
        (
            "sort=random",
            ("sort", Code.NOT_ALLOWED, "Sort order must be one of: newest, oldest, title"),
        ),
        ("difficulty=Beginner,x", ("difficulty", Code.NOT_ALLOWED, DIFFICULTY)),
        (
            f"search={'x' * 201}",
            ("search", Code.TOO_LONG, "Search must have at most 200 characters"),
        ),
        ("search=%00", ("search", Code.INVALID_FORMAT, "The character U+0000 is not allowed")),
    ],
)
def test_faults_of_a_query(text, expected):
    assert faults(query, text, CourseQuery) == [expected]


@pytest.mark.parametrize(("asked", "limit"), [("100", 100), ("101", 100), ("9" * 5000, 100)])
def test_a_limit_over_100_acts_as_100(asked, limit):
    assert query(f"limit={asked}", PageQuery).limit == limit


@pytest.mark.parametrize(
    "text",
    [
        "difficulty=Beginner,Advanced",
        "difficulty=Beginner%2CAdvanced",
        "difficulty=+Beginner+,,Advanced,Beginner",
    ],
)
def test_difficulty_accepts_a_comma_separated_list(text):
    assert query(text, CourseQuery).difficulty == {Difficulty.BEGINNER, Difficulty.ADVANCED}


def test_a_query_is_percent_decoded_utf_8():
    assert query("search=caf%C3%A9+%26+%2B", CourseQuery).search == "café & +"
    assert faults(query, "search=%FF", CourseQuery) == [
        ("query", Code.INVALID_FORMAT, "The query must be UTF-8")
    ]


def test_optional_ids_and_emails_of_a_query():
    found = query(f"course_id={NO_ID}&email=A%40B.org", EnrollmentQuery)
    assert (found.course_id, found.email) == (UUID(NO_ID), "a@b.org")
    assert query("course_id=&email=", EnrollmentQuery).course_id is None
    assert [fault[0] for fault in faults(query, "course_id=1&email=x", EnrollmentQuery)] == [
        "course_id",
        "email",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", False), ("utm=1", False), ("page=1", True), ("search=", True), ("a=1&sort", True)],
)
def test_whether_a_query_has_a_parameter(text, expected):
    assert binding.has_query(SimpleNamespace(query_string=text), CourseQuery) is expected


# --- Path ---------------------------------------------------------------------------------------


def test_path_parameters():
    assert binding.path_value("course_id", CourseId, NO_ID) == UUID(NO_ID)
    assert binding.path_value("email", Email, "A@b.org") == "a@b.org"
    assert faults(binding.path_value, "course_id", CourseId, "1") == [
        ("course_id", Code.INVALID_FORMAT, "Course ID must be a valid UUID")
    ]
    assert faults(binding.path_value, "email", Email, "nobody") == [
        ("email", Code.INVALID_FORMAT, "Invalid email format")
    ]


# --- Forms --------------------------------------------------------------------------------------

PNG = b"\x89PNG\r\n\x1a\n--b\xff\x00"


def test_a_file_of_a_form_keeps_its_bytes():
    found = form(parts(part("image", PNG, file="a.png", headers="Content-Type: image/png\r\n")))
    assert (found.title, found.image.name, found.image.data) == (COURSE["title"], "a.png", PNG)


def test_form_text_is_trimmed_utf_8():
    assert form(parts(title="  Größe ")).title == "Größe"


@pytest.mark.parametrize(
    "chosen",
    [(), (part("image", b"", file=""),), (part("image", b"", file="", headers="X: y\r\n"),)],
)
def test_a_form_without_a_file(chosen):
    assert form(parts(*chosen)).image is None


def test_an_empty_text_instead_of_a_file_counts_as_missing():
    # Swagger UI sends this when no file is chosen.
    assert form(parts(part("image"))).image is None


def test_a_file_without_a_name_but_with_content_is_a_file():
    assert form(parts(part("image", b"x", file=""))).image.data == b"x"


def test_an_empty_file_with_a_name_is_a_file():
    assert form(parts(part("image", b"", file="a.png"))).image.data == b""


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\\b.png", "ü.png", "x" * 1000])
def test_a_file_name_is_only_a_name(name):
    assert form(parts(part("image", b"x", file=name))).image.data == b"x"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (parts(part("image", b"x")), ("image", Code.INVALID_TYPE, "Image must be a file")),
        (
            parts(part("more", b"x")),
            ("more", Code.UNKNOWN_FIELD, "There is no field called 'more'"),
        ),
        (
            parts(part("more", b"x", file="a")),
            ("more", Code.UNKNOWN_FIELD, "There is no field called 'more'"),
        ),
        (parts(title=""), ("title", Code.REQUIRED, "Title is required")),
        (parts(title="a\0"), ("title", Code.INVALID_FORMAT, "The character U+0000 is not allowed")),
        (parts(difficulty=""), ("difficulty", Code.REQUIRED, DIFFICULTY)),
    ],
)
def test_faults_of_a_forms_fields(given, expected):
    assert faults(form, given) == [expected]


def test_a_file_in_a_text_field_is_a_fault():
    content = b"".join(
        part(name, b"x", file="a") if name == "title" else part(name, value.encode())
        for name, value in COURSE.items()
    )
    assert faults(form, content + b"--b--\r\n") == [
        ("title", Code.INVALID_TYPE, "Title must be text")
    ]


def test_a_form_that_requires_a_file():
    assert faults(form, b"--b--\r\n", ImageForm) == [("image", Code.REQUIRED, "Image is required")]


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=b",
    ],
)
def test_a_body_that_is_not_a_form_is_refused(kind):
    assert faults(form, parts(), CourseUploadForm, kind) == [
        ("body", Code.INVALID_FORMAT, "The request body must be multipart/form-data")
    ]


@pytest.mark.parametrize(
    "kind",
    ['multipart/form-data; boundary="b"', "Multipart/Form-Data; boundary=b; charset=utf-8"],
)
def test_accepted_content_types_of_a_form(kind):
    assert form(parts(), CourseUploadForm, kind).title == COURSE["title"]


WHOLE = parts(part("image", b"x" * 100, file="a"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no form",
        b"--c\r\n\r\n--c--\r\n",
        WHOLE[:-8],
        WHOLE[: WHOLE.index(b"xxx") + 5],
        WHOLE[: len(WHOLE) // 2],
        b"--b\r\n\r\nno header\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: attachment; name="title"\r\n\r\nx\r\n--b--\r\n',
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
        parts(part("title", b"again")),
        parts(part("image", b"x", file="a"), part("image", b"x", file="b")),
        parts().replace(COURSE["title"].encode(), b"\xff\xfe"),
        b"".join(part(f"f{number}") for number in range(21)) + b"--b--\r\n",
        part("title", headers="X: " + "x" * 100_000 + "\r\n") + b"--b--\r\n",
        part("title", headers="X: y\r\n" * 1000) + b"--b--\r\n",
    ],
)
def test_a_malformed_form_is_refused(content):
    [(field, code, message)] = faults(form, content)
    assert (field, code) == ("body", Code.INVALID_FORMAT)
    assert message.startswith("The form is malformed: ")


def test_bytes_before_and_after_the_form_are_ignored():
    assert form(b"before\r\n" + WHOLE + b"--b\r\nafter").image.data == b"x" * 100


def test_large_files_stay_in_memory(monkeypatch):
    monkeypatch.setattr("tempfile.TemporaryFile", None)
    big = b"\r\n--" * 1_000_000
    assert form(parts(part("image", big, file="a"))).image.data == big


def test_a_list_may_be_one_value_or_several():
    both = {Difficulty.BEGINNER, Difficulty.ADVANCED}
    for text in ("difficulty=Beginner,Advanced", "difficulty=Beginner&difficulty=Advanced"):
        assert query(text, CourseQuery).difficulty == both
