"""The door of enrolments: once a key, and, where it is set so, only for oneself."""

import asyncio
import json
from datetime import timedelta

import asyncpg
import pytest

from infra.key_ring import kid_of
from services.enrollments.idempotency import KEPT_FOR
from tests.factories import NO_ID, bearer, eventually, new_email, refused, refused_for, token
from tests.security.conftest import CANARIES

ENROLL = "/api/v1/enrollments"
REPLAYED = "idempotency-replayed"
MISMATCH = (409, "IDEMPOTENCY_MISMATCH", "This Idempotency-Key was used for another request")
NOT_YOURS = (403, "FORBIDDEN", "A student may do this for themselves only")
NO_TOKEN = (401, "MISSING_TOKEN", "Authorization header is required")
SECRET = CANARIES["JWT_SECRET"]


@pytest.fixture(scope="module")
async def course(api):
    """A course that anybody may enrol in."""
    return await api.new_course()


@pytest.fixture
def send(client, course):
    """Enrol with a key."""

    async def send(key, email, course_id=course["id"], **headers):
        content = {"student_email": email, "course_id": course_id}
        return await client.post(ENROLL, json=content, headers={"Idempotency-Key": key} | headers)

    return send


@pytest.fixture
async def database(service):
    """The service's database."""
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    yield connection
    await connection.close()


async def test_the_second_request_with_a_key_gets_the_first_answer(send, client):
    email = new_email()
    first, second = await send(email, email), await send(email, email)
    assert (first.status_code, second.status_code) == (201, 201)
    assert (REPLAYED in first.headers, second.headers[REPLAYED]) == (False, "true")
    assert first.content == second.content
    assert first.headers["content-type"] == second.headers["content-type"] == "application/json"
    mine = (await client.get(f"/api/v1/students/{email}/enrollments")).json()
    assert mine["total"] == 1


async def test_the_first_answer_stays_what_it_was(api, send, course):
    email = new_email()
    first = await send(email, email)
    dropped = await api.call("DELETE", f"/courses/{course['id']}/students/{email}")
    assert dropped.status_code == 204
    again = await send(email, email)
    assert (again.status_code, again.content) == (201, first.content)
    left = (await api.client.get(f"/api/v1/students/{email}/enrollments")).json()
    assert left["total"] == 0


async def test_the_first_answer_stays_when_its_course_is_gone(api, send):
    email, course_id = new_email(), (await api.new_course())["id"]
    first = await send(email, email, course_id)
    assert first.status_code == 201
    assert (await api.call("DELETE", f"/courses/{course_id}")).status_code == 204
    again = await send(email, email, course_id)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers[REPLAYED] == "true"
    refused(await send(email, new_email(), course_id), *MISMATCH)


async def test_a_body_that_says_the_same_is_the_same(send, client, course):
    email = new_email()
    first = await send(email, email)
    text = json.dumps({"course_id": course["id"].upper(), "student_email": f" {email.upper()}"})
    again = await client.post(ENROLL, content=text, headers={"Idempotency-Key": email})
    assert (again.content, again.headers[REPLAYED]) == (first.content, "true")


async def test_another_body_is_refused(api, send):
    email = new_email()
    assert (await send(email, email)).status_code == 201
    refused(await send(email, new_email()), *MISMATCH)
    refused(await send(email, email, (await api.new_course())["id"]), *MISMATCH)


async def test_of_many_at_once_one_is_done_and_all_get_its_answer(send, client):
    async def burst():
        email = new_email()
        answers = await asyncio.gather(*(send(email, email) for _ in range(8)))
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.content for answer in answers}) == 1
        assert sum(REPLAYED not in answer.headers for answer in answers) == 1

    await asyncio.gather(*(burst() for _ in range(10)))


async def test_of_other_bodies_at_once_one_is_done(send, client):
    key, emails = new_email(), [new_email() for _ in range(8)]
    answers = await asyncio.gather(*(send(key, email) for email in emails))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    for answer in answers:
        if answer.status_code == 409:
            refused(answer, *MISMATCH)


async def test_a_refusal_spends_no_key(api, send, course):
    email = new_email()
    unknown = await send(email, email, NO_ID)
    refused_for(unknown, ("course_id", "NOT_FOUND", "The specified course does not exist"))
    assert (await send(email, email)).status_code == 201
    other = new_email()
    taken = await send(other, email)
    assert (taken.status_code, taken.json()["details"]["code"]) == (409, "DUPLICATE_ENROLLMENT")
    await api.call("DELETE", f"/courses/{course['id']}/students/{email}")
    again = await send(other, email)
    assert (again.status_code, REPLAYED in again.headers) == (201, False)


async def test_a_key_is_its_callers(send):
    key, email = new_email(), new_email()
    one, other = (bearer(token()) for _ in range(2))
    assert (await send(key, email, **one)).status_code == 201
    assert REPLAYED in (await send(key, email, **one)).headers
    for headers in (other, {}):
        answer = await send(key, email, **headers)
        assert answer.json()["details"]["code"] == "DUPLICATE_ENROLLMENT"
        assert (await send(key, new_email(), **headers)).status_code == 201


@pytest.mark.parametrize("key", ["x", "x" * 255, '"quoted"', "!~"])
async def test_unusual_keys_are_taken(send, key):
    email = new_email()
    caller = bearer(token())
    assert (await send(key, email, **caller)).status_code == 201
    assert (await send(key, email, **caller)).headers[REPLAYED] == "true"


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "a\tb", "é", "a, b"])
async def test_a_bad_key_is_refused(client, course, key):
    content = {"student_email": new_email(), "course_id": course["id"]}
    answer = await client.post(ENROLL, json=content, headers=[("Idempotency-Key", key.encode())])
    message = "Idempotency-Key must have 1 to 255 visible ASCII characters"
    refused_for(answer, ("Idempotency-Key", "INVALID_FORMAT", message))


async def test_two_keys_at_once_are_refused(client, course):
    content = {"student_email": new_email(), "course_id": course["id"]}
    keys = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    answer = await client.post(ENROLL, json=content, headers=keys)
    message = "Idempotency-Key may be there once"
    refused_for(answer, ("Idempotency-Key", "INVALID_FORMAT", message))


async def test_the_database_knows_no_key_in_clear(send, database):
    key, email = f"key-{new_email()}", new_email()
    await send(key, email)
    kept = await database.fetch(
        "SELECT idempotent_responses::text AS row FROM idempotent_responses"
    )
    assert any(email.encode().hex() in each["row"] for each in kept)
    assert not any(key in each["row"] or key.encode().hex() in each["row"] for each in kept)


async def test_keys_are_forgotten_after_a_day(send, database):
    old, young = new_email(), new_email()
    first = await send(old, old)
    await send(young, young)
    age = KEPT_FOR + timedelta(minutes=1)
    await database.execute(
        "UPDATE idempotent_responses SET created_at = now() - $1::interval WHERE body = $2",
        age,
        first.content,
    )
    await database.execute(
        "INSERT INTO tasks (id, name, args) VALUES (gen_random_uuid(), $1, '{}')",
        "maintenance.prune_answers",
    )

    async def is_forgotten():
        return not await database.fetchval(
            "SELECT count(*) FROM idempotent_responses WHERE body = $1", first.content
        )

    await eventually(is_forgotten)
    assert (await send(old, old)).json()["details"]["code"] == "DUPLICATE_ENROLLMENT"
    assert (await send(young, young)).headers[REPLAYED] == "true"


def student(email, **claims):
    """Return the headers of a student of the production instance."""
    return bearer(token(SECRET, kid=kid_of(SECRET), username=email, **claims))


@pytest.fixture
def ask(production, course):
    """Enrol somebody, or read what they are enrolled in, where that asks for a token."""

    async def ask(method, email, headers=None, course_id=course["id"]):
        if method == "GET":
            path = f"/api/v1/students/{email}/enrollments"
            return await production.client.get(path, headers=headers)
        content = {"student_email": email, "course_id": course_id}
        return await production.client.post(ENROLL, json=content, headers=headers)

    return ask


@pytest.mark.parametrize("write", [str, str.upper, " {} ".format])
async def test_a_student_enrols_and_reads_themselves(ask, write):
    email = new_email()
    headers = student(write(email))
    assert (await ask("POST", email, headers)).status_code == 201
    assert (await ask("GET", email, headers)).json()["total"] == 1


async def test_an_admin_enrols_and_reads_anybody(ask):
    email = new_email()
    headers = student("registrar", role="admin")
    assert (await ask("POST", email, headers)).status_code == 201
    assert (await ask("GET", email, headers)).json()["total"] == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_without_a_token_the_door_is_shut(ask, method):
    refused(await ask(method, new_email()), *NO_TOKEN)
    forged = bearer(token(username="somebody@example.org"))
    answer = await ask(method, "somebody@example.org", forged)
    refused(answer, 401, "INVALID_TOKEN", "JWT token is invalid or expired")


async def test_without_a_token_a_body_is_not_even_read(production):
    answer = await production.client.post(ENROLL, content=b"{")
    refused(answer, *NO_TOKEN)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_whether_another_student_exists_does_not_show(ask, course, method):
    known, unknown, mine = new_email(), new_email(), new_email()
    assert (await ask("POST", known, student(known))).status_code == 201
    answers = [await ask(method, email, student(mine)) for email in (known, unknown)]
    for answer in answers:
        refused(answer, *NOT_YOURS)
    own = {"x-request-id", "date"}
    known_headers, unknown_headers = (
        {name: value for name, value in answer.headers.items() if name not in own}
        for answer in answers
    )
    assert known_headers == unknown_headers


async def test_a_course_does_not_show_through_another_students_place(ask):
    email = new_email()
    answer = await ask("POST", email, student(new_email()), course_id=NO_ID)
    refused(answer, *NOT_YOURS)


async def test_a_token_without_a_name_is_nobodys(ask):
    for name in (None, "", "other@example.org"):
        refused(await ask("POST", new_email(), student(name)), *NOT_YOURS)
