"""Rights to enrol: idempotency keys, and, where set so, only for oneself."""

import asyncio
import json
from datetime import timedelta

import asyncpg
import pytest

from infra.key_ring import settings_kid
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
    """A course for enrollments."""
    return await api.new_course()


@pytest.fixture
def send(client, course):
    """Enrols with a key."""

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


async def test_a_repeated_request_with_a_key_gets_the_first_response(send, client):
    email = new_email()
    first, second = await send(email, email), await send(email, email)
    assert (first.status_code, second.status_code) == (201, 201)
    assert (REPLAYED in first.headers, second.headers[REPLAYED]) == (False, "true")
    assert first.content == second.content
    assert first.headers["content-type"] == second.headers["content-type"] == "application/json"
    mine = (await client.get(f"/api/v1/students/{email}/enrollments")).json()
    assert mine["total"] == 1


async def test_the_first_response_is_replayed_unchanged(api, send, course):
    email = new_email()
    first = await send(email, email)
    dropped = await api.call("DELETE", f"/courses/{course['id']}/students/{email}")
    assert dropped.status_code == 204
    again = await send(email, email)
    assert (again.status_code, again.content) == (201, first.content)
    left = (await api.client.get(f"/api/v1/students/{email}/enrollments")).json()
    assert left["total"] == 0


async def test_the_first_response_is_replayed_after_the_course_is_deleted(api, send):
    email, course_id = new_email(), (await api.new_course())["id"]
    first = await send(email, email, course_id)
    assert first.status_code == 201
    assert (await api.call("DELETE", f"/courses/{course_id}")).status_code == 204
    again = await send(email, email, course_id)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers[REPLAYED] == "true"
    refused(await send(email, new_email(), course_id), *MISMATCH)


async def test_an_equivalent_body_counts_as_the_same(send, client, course):
    email = new_email()
    first = await send(email, email)
    text = json.dumps({"course_id": course["id"].upper(), "student_email": f" {email.upper()}"})
    again = await client.post(ENROLL, content=text, headers={"Idempotency-Key": email})
    assert (again.content, again.headers[REPLAYED]) == (first.content, "true")


async def test_another_body_with_the_key_is_refused(api, send):
    email = new_email()
    assert (await send(email, email)).status_code == 201
    refused(await send(email, new_email()), *MISMATCH)
    refused(await send(email, email, (await api.new_course())["id"]), *MISMATCH)


async def test_concurrent_requests_with_a_key_enroll_once_and_get_one_response(send, client):
    async def burst():
        email = new_email()
        responses = await asyncio.gather(*(send(email, email) for _ in range(8)))
        assert {response.status_code for response in responses} == {201}
        assert len({response.content for response in responses}) == 1
        assert sum(REPLAYED not in response.headers for response in responses) == 1

    await asyncio.gather(*(burst() for _ in range(10)))


async def test_of_concurrent_other_bodies_one_is_enrolled(send, client):
    key, emails = new_email(), [new_email() for _ in range(8)]
    responses = await asyncio.gather(*(send(key, email) for email in emails))
    assert sorted(response.status_code for response in responses) == [201] + [409] * 7
    for response in responses:
        if response.status_code == 409:
            refused(response, *MISMATCH)


async def test_a_refused_request_does_not_spend_the_key(api, send, course):
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


async def test_a_key_belongs_to_its_caller(send):
    key, email = new_email(), new_email()
    one, other = (bearer(token()) for _ in range(2))
    assert (await send(key, email, **one)).status_code == 201
    assert REPLAYED in (await send(key, email, **one)).headers
    for headers in (other, {}):
        response = await send(key, email, **headers)
        assert response.json()["details"]["code"] == "DUPLICATE_ENROLLMENT"
        assert (await send(key, new_email(), **headers)).status_code == 201


@pytest.mark.parametrize("key", ["x", "x" * 255, '"quoted"', "!~"])
async def test_unusual_keys_are_accepted(send, key):
    email = new_email()
    caller = bearer(token())
    assert (await send(key, email, **caller)).status_code == 201
    assert (await send(key, email, **caller)).headers[REPLAYED] == "true"


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "a\tb", "é", "a, b"])
async def test_a_bad_key_is_refused(client, course, key):
    content = {"student_email": new_email(), "course_id": course["id"]}
    response = await client.post(ENROLL, json=content, headers=[("Idempotency-Key", key.encode())])
    message = "Idempotency-Key must have 1 to 255 visible ASCII characters"
    refused_for(response, ("Idempotency-Key", "INVALID_FORMAT", message))


async def test_two_keys_in_one_request_are_refused(client, course):
    content = {"student_email": new_email(), "course_id": course["id"]}
    keys = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    response = await client.post(ENROLL, json=content, headers=keys)
    message = "Idempotency-Key may be there once"
    refused_for(response, ("Idempotency-Key", "INVALID_FORMAT", message))


async def test_the_database_stores_keys_hashed(send, database):
    key, email = f"key-{new_email()}", new_email()
    await send(key, email)
    kept = await database.fetch(
        "SELECT idempotent_responses::text AS row FROM idempotent_responses"
    )
    assert any(email.encode().hex() in each["row"] for each in kept)
    assert not any(key in each["row"] or key.encode().hex() in each["row"] for each in kept)


async def test_keys_expire_after_a_day(send, database):
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
        "maintenance.prune_idempotent_responses",
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
    return bearer(token(SECRET, kid=settings_kid(SECRET), username=email, **claims))


@pytest.fixture
def ask(production, course):
    """Enrols a student, or reads their enrollments, where a token is required."""

    async def ask(method, email, headers=None, course_id=course["id"]):
        if method == "GET":
            path = f"/api/v1/students/{email}/enrollments"
            return await production.client.get(path, headers=headers)
        content = {"student_email": email, "course_id": course_id}
        return await production.client.post(ENROLL, json=content, headers=headers)

    return ask


@pytest.mark.parametrize("write", [str, str.upper, " {} ".format])
async def test_a_student_can_enroll_and_read_themselves(ask, write):
    email = new_email()
    headers = student(write(email))
    assert (await ask("POST", email, headers)).status_code == 201
    assert (await ask("GET", email, headers)).json()["total"] == 1


async def test_an_admin_can_enroll_and_read_every_student(ask):
    email = new_email()
    headers = student("registrar", role="admin")
    assert (await ask("POST", email, headers)).status_code == 201
    assert (await ask("GET", email, headers)).json()["total"] == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_without_a_token_enrolling_is_401(ask, method):
    refused(await ask(method, new_email()), *NO_TOKEN)
    forged = bearer(token(username="somebody@example.org"))
    response = await ask(method, "somebody@example.org", forged)
    refused(response, 401, "INVALID_TOKEN", "JWT token is invalid or expired")


async def test_without_a_token_the_body_is_not_read(production):
    response = await production.client.post(ENROLL, content=b"{")
    refused(response, *NO_TOKEN)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_responses_do_not_reveal_another_student(ask, course, method):
    known, unknown, mine = new_email(), new_email(), new_email()
    assert (await ask("POST", known, student(known))).status_code == 201
    responses = [await ask(method, email, student(mine)) for email in (known, unknown)]
    for response in responses:
        refused(response, *NOT_YOURS)
    own = {"x-request-id", "date"}
    known_headers, unknown_headers = (
        {name: value for name, value in response.headers.items() if name not in own}
        for response in responses
    )
    assert known_headers == unknown_headers


async def test_responses_do_not_reveal_a_course_to_another_student(ask):
    email = new_email()
    response = await ask("POST", email, student(new_email()), course_id=NO_ID)
    refused(response, *NOT_YOURS)


async def test_a_token_without_a_subject_is_refused(ask):
    for name in (None, "", "other@example.org"):
        refused(await ask("POST", new_email(), student(name)), *NOT_YOURS)
