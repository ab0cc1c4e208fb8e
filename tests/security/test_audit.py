"""The audit log: actions of admins and operators, logins, and denied calls."""

import asyncio
import json
import re
from pathlib import Path

import asyncpg
import jwt
import pytest
from uuid_utils.compat import uuid7

import api.app  # noqa: F401  its import declares the operations
from api.endpoint.operation import OPERATIONS, Access
from services.audit.denied import MAX_KINDS
from services.audit.trail import Action
from tests import photos
from tests.factories import (
    ADMIN,
    COURSE,
    NO_ID,
    bearer,
    eventually,
    new_email,
    token,
)
from tests.security.conftest import SETTINGS
from tests.security.test_enrollment_rights import student

UNKNOWN_TASK = "test.of_the_audit_log"
FLAG = "/admin/flags/avif-variants"


@pytest.fixture
async def database(service):
    """The service's database."""
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    yield connection
    await connection.execute("DELETE FROM tasks WHERE name = $1", UNKNOWN_TASK)
    await connection.close()


@pytest.fixture
def entries(database):
    """Returns the entries of a request when there are any."""

    async def entries(request_id):
        async def there_are():
            return await database.fetch(
                "SELECT action, outcome, actor, actor_id, target, address, count, details "
                "FROM audit_log WHERE request_id = $1",
                request_id,
            )

        return [dict(row) for row in await eventually(there_are)]

    return entries


def new_request_id():
    return f"audit-{uuid7().hex}"


async def new_task(database, state="queued"):
    task_id = uuid7()
    await database.execute(
        "INSERT INTO tasks (id, name, args, state, finished_at) "
        "VALUES ($1, $2, '{}', $3, CASE WHEN $4 THEN now() END)",
        task_id,
        UNKNOWN_TASK,
        state,
        state != "queued",
    )
    return str(task_id)


@pytest.fixture
async def writes(api, client, database):
    """The arguments of each admin operation, and the action and target that it records."""
    course_id, other, email = (await api.new_course())["id"], None, new_email()
    enrolled = {"student_email": email, "course_id": course_id}
    await client.post("/api/v1/enrollments", json=enrolled)
    other = await client.post("/api/v1/enrollments", json=enrolled | {"student_email": new_email()})
    enrollment_id = other.json()["id"]
    queued, failed = await new_task(database), await new_task(database, "failed")
    image = {"files": {"image": ("a.jpg", photos.jpeg(40, 30))}}
    return {
        "create_course": (Action.CREATE_COURSE, "POST", "/courses", {"json": COURSE}, None),
        "upload_course": (
            *(Action.CREATE_COURSE, "POST", "/courses/upload", {"data": COURSE} | image, None),
        ),
        "update_course": (
            *(Action.UPDATE_COURSE, "PUT", f"/courses/{course_id}", {"json": COURSE}, course_id),
        ),
        "replace_course_image": (
            *(Action.REPLACE_IMAGE, "PUT", f"/courses/{course_id}/image", image, course_id),
        ),
        "patch_course": (
            *(Action.UPDATE_COURSE, "PATCH", f"/courses/{course_id}", {"json": {}}, course_id),
        ),
        "delete_course_image": (
            *(Action.REMOVE_IMAGE, "DELETE", f"/courses/{course_id}/image", {}, course_id),
        ),
        "drop_course_student": (
            *(Action.DROP_STUDENT, "DELETE", f"/courses/{course_id}/students/{email}", {}),
            course_id,
        ),
        "delete_enrollment": (
            *(Action.DELETE_ENROLLMENT, "DELETE", f"/admin/enrollments/{enrollment_id}", {}),
            enrollment_id,
        ),
        "retry_task": (Action.RETRY_TASK, "POST", f"/admin/tasks/{failed}/retry", {}, failed),
        "cancel_task": (Action.CANCEL_TASK, "POST", f"/admin/tasks/{queued}/cancel", {}, queued),
        "set_flag": (Action.SET_FLAG, "PUT", FLAG, {"json": {"enabled": False}}, "avif-variants"),
        "kill_flag": (Action.KILL_FLAG, "POST", f"{FLAG}/kill", {}, "avif-variants"),
        "delete_flag": (Action.DELETE_FLAG, "DELETE", FLAG, {}, "avif-variants"),
        "delete_course": (Action.DELETE_COURSE, "DELETE", f"/courses/{course_id}", {}, course_id),
    }


async def test_every_admin_write_is_audited(api, client, writes, entries):
    admins = {one.name for one in OPERATIONS if one.access is Access.ADMIN and one.method != "GET"}
    assert set(writes) == admins
    for action, method, path, request, target in writes.values():
        request_id = new_request_id()
        headers = api.headers | {"X-Request-ID": request_id}
        response = await client.request(method, f"/api/v1{path}", headers=headers, **request)
        assert response.is_success, (path, response.text)
        [entry] = await entries(request_id)
        assert (entry["action"], entry["outcome"], entry["actor"]) == (action, "done", "admin")
        assert entry["actor_id"] is not None
        assert entry["target"] == (target or response.json()["id"])
        assert entry["address"] == "127.0.0.1"


async def test_a_failed_write_is_not_audited(api, client, database):
    request_id = new_request_id()
    headers = api.headers | {"X-Request-ID": request_id}
    for path in (f"/courses/{NO_ID}", f"/admin/enrollments/{NO_ID}"):
        assert (await client.delete(f"/api/v1{path}", headers=headers)).status_code == 404
    await client.put(f"/api/v1/courses/{NO_ID}", headers=headers, json=COURSE)
    task_id = await new_task(database, "succeeded")
    await client.post(f"/api/v1/admin/tasks/{task_id}/retry", headers=headers)
    found = await database.fetchval(
        "SELECT count(*) FROM audit_log WHERE request_id = $1", request_id
    )
    assert found == 0


async def test_login_and_logout_are_audited(client, entries):
    login_id, logout_id = new_request_id(), new_request_id()
    response = await client.post(
        "/api/v1/auth/login", json=ADMIN, headers={"X-Request-ID": login_id}
    )
    [login] = await entries(login_id)
    headers = bearer(response.json()["token"]) | {"X-Request-ID": logout_id}
    await client.post("/api/v1/auth/logout", headers=headers)
    [logout] = await entries(logout_id)
    assert (login["action"], login["outcome"], login["actor"]) == ("auth.login", "done", "admin")
    assert (logout["action"], logout["actor"]) == ("auth.logout", "admin")
    assert login["target"] == logout["target"]
    assert str(login["actor_id"]) == response.json()["user"]["id"]


async def test_the_end_of_a_session_by_token_reuse_is_audited(client, database, entries):
    session = (await client.post("/api/v1/auth/login", json=ADMIN)).json()
    spent = {"refresh_token": session["refresh_token"]}
    assert (await client.post("/api/v1/auth/refresh", json=spent)).status_code == 200
    claims = jwt.decode(session["token"], options={"verify_signature": False})
    await database.execute(
        "UPDATE refresh_tokens SET used_at = used_at - interval '1 minute' WHERE session_id = $1",
        claims["sid"],
    )
    request_id = new_request_id()
    headers = {"X-Request-ID": request_id}
    response = await client.post("/api/v1/auth/refresh", json=spent, headers=headers)
    assert response.status_code == 401

    async def both():
        found = await entries(request_id)
        return found if len(found) == 2 else None

    ended, refused = sorted(await eventually(both), key=lambda entry: entry["outcome"])
    assert (ended["action"], ended["outcome"]) == ("auth.end_session", "done")
    # Owner and thief cannot be told apart, so the entry has the session and the address.
    assert (ended["target"], ended["actor"], ended["address"]) == (claims["sid"], None, "127.0.0.1")
    assert (refused["action"], refused["outcome"]) == ("request", "refused")


def test_every_action_is_recorded_somewhere():
    root = Path(__file__).parents[2]
    rooms = ("api", "services", "cli", "worker")
    sources = [path for room in rooms for path in root.joinpath(room).rglob("*.py")]
    code = "\n".join(path.read_text() for path in sources)
    missing = {each for each in Action if not re.search(rf"\bAction\.{each.name}\b", code)}
    assert missing == set()


async def test_a_failed_login_is_audited_with_the_claimed_name(client, entries):
    request_id, name = new_request_id(), new_email()
    await client.post(
        "/api/v1/auth/login",
        json={"username": name, "password": "wrong"},
        headers={"X-Request-ID": request_id},
    )
    [entry] = await entries(request_id)
    assert (entry["action"], entry["outcome"]) == ("auth.login", "refused")
    assert (entry["actor"], entry["actor_id"], entry["address"]) == (name, None, "127.0.0.1")
    assert json.loads(entry["details"]) == {"code": "INVALID_CREDENTIALS"}


@pytest.mark.parametrize(
    ("headers", "actor", "code"),
    [
        ({}, None, "MISSING_TOKEN"),
        (bearer("a.b.c"), None, "INVALID_TOKEN"),
        (bearer(token(username="ada@example.org")), "ada@example.org", "FORBIDDEN"),
    ],
    ids=["nobody", "forged", "student"],
)
async def test_a_denied_call_is_audited(client, entries, headers, actor, code):
    request_id = new_request_id()
    await client.delete(
        f"/api/v1/courses/{uuid7()}", headers=headers | {"X-Request-ID": request_id}
    )
    [entry] = await entries(request_id)
    assert (entry["action"], entry["outcome"], entry["actor"]) == ("request", "refused", actor)
    assert entry["target"] == "DELETE /api/v1/courses/<course_id:str>"
    assert json.loads(entry["details"]) == {"code": code}


ZONED = "198.18.7.8, fe80::1%" + "a" * 300


async def test_an_invalid_forwarded_address_hides_no_failed_login(client, entries):
    requests = {new_request_id(): zoned for zoned in (False, True, False)}
    for request_id, zoned in requests.items():
        forwarded = {"X-Forwarded-For": ZONED} if zoned else {}
        response = await client.post(
            "/api/v1/auth/login",
            json={"username": f"guess-{request_id}", "password": "wrong"},
            headers={"X-Request-ID": request_id} | forwarded,
        )
        assert response.status_code == 401
    for request_id in requests:
        [entry] = await entries(request_id)
        assert (entry["actor"], entry["address"]) == (f"guess-{request_id}", "127.0.0.1")


async def test_an_invalid_forwarded_address_fails_no_write(client, entries):
    request_id = new_request_id()
    headers = bearer(token(username="ada", role="admin")) | {"X-Request-ID": request_id}
    response = await client.post(
        "/api/v1/courses",
        json={"title": "t", "description": "d", "difficulty": "Beginner"},
        headers=headers | {"X-Forwarded-For": ZONED},
    )
    assert response.status_code == 201
    assert [entry["address"] for entry in await entries(request_id)] == ["127.0.0.1"]


async def test_a_username_with_markup_or_control_characters_is_shown_escaped(
    client, entries, enroll, database
):
    request_id = new_request_id()
    await client.post(
        "/api/v1/auth/login",
        json={"username": f"[/x]{request_id}", "password": "wrong"},
        headers={"X-Request-ID": request_id},
    )
    assert len(await entries(request_id)) == 1
    await database.execute(
        "INSERT INTO audit_log (id, action, outcome, actor) "
        "VALUES ($1, 'auth.login', 'refused', $2)",
        uuid7(),
        f"[/y]\x1b[2J\u202e\n{request_id}",
    )
    for arguments in ((), ("--json",)):
        code, output, errors = await enroll("audit", "--since", "5m", *arguments)
        assert (code, errors) == (0, "")
        assert f"[/x]{request_id}" in output
        assert "[/y]" in output
        assert all(letter.isprintable() for letter in output.replace("\n", ""))
        assert f"\n{request_id}" not in output


async def test_rate_limited_calls_are_audited_with_the_client_address(client, entries):
    name, address = new_email(), "198.18.7.7"
    headers = bearer(token(username=name, role="admin")) | {"X-Forwarded-For": address}
    responses = []
    while 429 not in responses:
        assert len(responses) < 60
        request_id = new_request_id()
        response = await client.post(
            "/api/v1/courses", json={}, headers=headers | {"X-Request-ID": request_id}
        )
        responses.append(response.status_code)
    [entry] = await entries(request_id)
    assert (entry["actor"], entry["address"]) == (name, address)
    assert entry["target"] == "POST /api/v1/courses"
    assert json.loads(entry["details"]) == {"code": "RATE_LIMITED"}


async def test_many_denied_calls_are_few_entries_with_a_total_count(client, database):
    marker = uuid7().hex
    count = "SELECT coalesce(sum(count), 0) FROM audit_log WHERE actor LIKE $1 || '%'"
    others = "SELECT coalesce(sum(count), 0) FROM audit_log WHERE details->>'code' = 'MANY'"
    before = await database.fetchval(others)
    started = asyncio.get_running_loop().time()

    async def refused(number):
        headers = bearer(token(username=f"{marker}-{number}"))
        await client.get("/api/v1/admin/students", headers=headers)

    await asyncio.gather(*(refused(number) for number in range(400)))

    async def all_are_counted():
        in_others = await database.fetchval(others) - before
        return await database.fetchval(count, marker) + in_others >= 400

    await eventually(all_are_counted)
    seconds = asyncio.get_running_loop().time() - started
    rows = await database.fetchval(
        "SELECT count(*) FROM audit_log WHERE actor LIKE $1 || '%'", marker
    )
    processes = 2
    assert rows <= MAX_KINDS * processes * (seconds + 1)
    assert rows < 400


async def test_an_admins_enrollment_of_a_student_is_audited(api, production, entries):
    request_id, email = new_request_id(), new_email()
    course_id = (await api.new_course())["id"]
    headers = student("registrar", role="admin") | {
        "X-Request-ID": request_id,
        "Idempotency-Key": request_id,
    }
    content = {"student_email": email, "course_id": course_id}
    response = await production.client.post("/api/v1/enrollments", json=content, headers=headers)
    assert response.status_code == 201
    [entry] = await entries(request_id)
    assert (entry["action"], entry["actor"]) == ("enrollments.create", "registrar")
    assert json.loads(entry["details"]) == {"student": email, "course": course_id}


async def test_an_admins_enrollment_is_audited_where_all_may_enroll(api, client, database):
    course_id = (await api.new_course())["id"]

    async def actors(headers):
        content = {"student_email": new_email(), "course_id": course_id}
        response = await client.post("/api/v1/enrollments", json=content, headers=headers)
        assert response.status_code == 201
        # In the transaction of the enrollment, so the entry exists now or never.
        noted = "SELECT actor FROM audit_log WHERE action = 'enrollments.create' AND target = $1"
        return [row["actor"] for row in await database.fetch(noted, response.json()["id"])]

    assert await actors(api.headers) == ["admin"]
    for nobody in (
        {},
        bearer(token(role="student")),
        bearer(token(role="admin", exp=1)),
        bearer("of.bad.news"),
    ):
        assert await actors(nobody) == []


async def test_an_entry_is_also_a_log_line(api, client, service):
    request_id = new_request_id()
    headers = api.headers | {"X-Request-ID": request_id}
    course = await client.post("/api/v1/courses", json=COURSE, headers=headers)
    text = (service.data_dir / "logs" / "api.log").read_text()
    [line] = [
        json.loads(line)
        for line in text.splitlines()
        if request_id in line and '"event": "audit"' in line
    ]
    assert (line["action"], line["actor"]) == ("courses.create", "admin")
    assert (line["target"], line["outcome"]) == (course.json()["id"], "done")


async def test_operators_commands_are_audited_and_listed(enroll, database):
    first, second = await new_task(database), await new_task(database)
    assert (await enroll("tasks", "cancel", first, second))[:2] == (0, "2 cancelled\n")
    code, output, log = await enroll("tasks", "drop", first)
    assert (code, output) == (0, "1 dropped\n")
    assert (json.loads(log)["action"], json.loads(log)["target"]) == ("tasks.drop", first)
    code, output, _ = await enroll("audit", "--action", "tasks", "--since", "5m", "--json")
    assert code == 0
    mine = [entry for entry in json.loads(output) if entry["target"] in {first, second}]
    assert [(entry["action"], entry["target"]) for entry in mine] == [
        ("tasks.drop", first),
        ("tasks.cancel", second),
        ("tasks.cancel", first),
    ]
    [actor] = {entry["actor"] for entry in mine}
    assert actor.startswith("operator:")
    assert mine[0]["address"]
    for arguments in (
        ("--actor", actor, "--action", "tasks.drop"),
        ("--since", "2020-01-01", "--limit", "200"),
    ):
        code, output, _ = await enroll("audit", *arguments)
        assert code == 0
        assert first in output
    code, output, _ = await enroll("audit", "--actor", "nobody-of-this-name", "--json")
    assert (code, json.loads(output)) == (0, [])


async def test_changes_of_accounts_and_keys_are_audited(enroll, tmp_path):
    name = new_email()
    for command in ("add", "passwd", "disable", "enable"):
        code, _, errors = await enroll("users", command, name, typed="a-long-password\n")
        assert code == 0, errors
    own_keys = {"DATA_DIR": str(tmp_path)}
    code, output, _ = await enroll("keys", "rotate", "--leaked", environment=own_keys)
    assert code == 0
    for action in ("users", "keys"):
        _, listed, _ = await enroll("audit", "--action", action, "--since", "5m", "--json")
        found = [
            entry["action"]
            for entry in json.loads(listed)
            if entry["target"] in {name, output.split()[0]}
        ]
        assert (
            found
            == {
                "users": ["users.enable", "users.disable", "users.passwd", "users.add"],
                "keys": ["keys.rotate"],
            }[action]
        )


async def test_keys_can_be_rotated_without_a_database(enroll, tmp_path):
    away = {"DATA_DIR": str(tmp_path), "DATABASE_URL": "postgresql://x@127.0.0.1:9/x"}
    code, output, errors = await enroll("keys", "rotate", environment=away)
    assert (code, "signs from now on" in output) == (0, True)
    assert "the rotation is not in the audit log" in errors


async def test_in_production_a_key_of_the_machines_own_needs_confirmation(enroll, tmp_path):
    alone = {
        **SETTINGS,
        "DATA_DIR": str(tmp_path),
        "DATABASE_URL": "postgresql://x:a-long-password@127.0.0.1:9/x?sslmode=verify-full",
    }
    code, output, errors = await enroll("keys", "rotate", environment=alone)
    assert (code, output) == (2, "")
    assert "other instances would refuse tokens of the new key" in errors
    assert list(tmp_path.glob("keys.*")) == []
    code, output, errors = await enroll("keys", "rotate", "--this-machine-only", environment=alone)
    assert (code, "signs from now on" in output) == (0, True), errors


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("--action", "courses.explode"), "must be one of"),
        (("--since", "yesterday"), "must be an age"),
        (("--limit", "0"), "0 is not in the range"),
    ],
)
async def test_a_bad_filter_is_reported(enroll, arguments, fault):
    code, output, errors = await enroll("audit", *arguments)
    assert (code, output) == (2, "")
    assert errors.startswith("enroll: ")
    assert fault in errors
