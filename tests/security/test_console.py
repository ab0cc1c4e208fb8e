"""The console's session, and who may do what with it."""

import asyncpg
import httpx
import pytest
from uuid_utils.compat import uuid7

from tests.factories import ADMIN, NO_ID, bearer, eventually, refused, token
from tests.security.conftest import ADMIN as ADMIN_OF_PRODUCTION
from tests.security.test_access import CONSOLE, FORGED, address

HOME = "/console/tasks"
COOKIE = "console_session"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Open to visitors.
PUBLIC = {("GET", "/console/login"), ("POST", "/console/login")}
GUARDED = sorted(each for each in CONSOLE - PUBLIC if "/assets/" not in each[1])


@pytest.fixture
async def visitor(service):
    """A client without a session."""
    async with httpx.AsyncClient(base_url=service.base_url, timeout=30) as client:
        yield client


@pytest.fixture
async def admin(visitor):
    """A client that has logged in."""
    assert (await visitor.post("/console/login", data=ADMIN)).status_code == 303
    return visitor


@pytest.fixture
async def task_id(service):
    """A failed task, which nobody may have changed at the end."""
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    task_id = uuid7()
    await connection.execute(
        "INSERT INTO tasks (id, name, args, state, queue, finished_at) "
        "VALUES ($1, 'console.task', '{}', 'failed', 'console', now())",
        task_id,
    )
    yield task_id
    deleted = await connection.fetchval("DELETE FROM tasks WHERE id = $1 RETURNING state", task_id)
    await connection.close()
    assert deleted == "failed"


async def csrf_of(client):
    return (await client.get(HOME)).text.partition('name="csrf" value="')[2].partition('"')[0]


async def test_the_cookie_is_for_the_console_and_no_script_reads_it(visitor):
    response = await visitor.post("/console/login", data=ADMIN)
    cookie = response.headers["set-cookie"]
    name, _, rest = cookie.partition("=")
    value, *attributes = [part.strip() for part in rest.split(";")]
    assert (name, len(value.split("."))) == (COOKIE, 3)
    kept = {part.partition("=")[0].lower(): part.partition("=")[2] for part in attributes}
    assert 86_000 < int(kept.pop("max-age")) <= 86_400
    assert kept == {"path": "/console", "samesite": "Strict", "httponly": ""}


async def test_in_production_the_cookie_needs_tls(production):
    response = await production.client.post("/console/login", data=ADMIN_OF_PRODUCTION)
    assert response.status_code == 303
    attributes = {part.strip().lower() for part in response.headers["set-cookie"].split(";")}
    assert {"secure", "httponly", "samesite=strict", "path=/console"} <= attributes
    production.client.cookies.clear()


@pytest.mark.parametrize("path", ["/console/login", HOME, f"{HOME}/{NO_ID}"])
async def test_the_console_has_a_policy_of_its_own(admin, path):
    response = await admin.get(path)
    assert response.headers["content-security-policy"] == POLICY
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "same-origin"
    assert response.headers["x-frame-options"] == "DENY"


async def test_without_a_session_each_page_and_form_leads_to_the_login(visitor):
    assert len(GUARDED) == 15
    for method, path in GUARDED:
        response = await visitor.request(method, address(path))
        assert response.status_code == 303, path
        assert response.headers["location"].startswith("/console/login?next=")
        # A token of the API opens no page.
        response = await visitor.request(method, address(path), headers=bearer(token(role="admin")))
        assert response.status_code == 303, path


async def test_a_student_gets_nothing(visitor, new_user):
    account = await new_user()
    response = await visitor.post("/console/login", data=account)
    assert response.status_code == 403
    assert "Only an admin may do this" in response.text
    assert "set-cookie" not in response.headers
    session = (await visitor.post("/api/v1/auth/login", json=account)).json()
    cookies = {"Cookie": f"{COOKIE}={session['token']}"}
    for method, path in GUARDED:
        response = await visitor.request(method, address(path), headers=cookies)
        assert response.status_code == 403, path


@pytest.mark.parametrize("forged", FORGED)
async def test_a_forged_cookie_leads_to_the_login(visitor, forged):
    response = await visitor.get(HOME, headers={"Cookie": f"{COOKIE}={FORGED[forged]()}"})
    assert (response.status_code, response.headers["location"]) == (
        303,
        "/console/login?next=%2Fconsole%2Ftasks",
    )


@pytest.mark.parametrize("path", ["retry", "cancel"])
@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({}, {}),
        ({"csrf": ""}, {}),
        ({"csrf": "0" * 64}, {}),
        ({"csrf": "ä"}, {}),
        ({"csrf": None}, {"Origin": "https://evil.example"}),
        ({"csrf": None}, {"Origin": "null"}),
        ({"csrf": None}, {"Sec-Fetch-Site": "cross-site"}),
        ({"csrf": None}, {"Sec-Fetch-Site": "same-site"}),
        ({"csrf": None}, {"Sec-Fetch-Site": "none"}),
    ],
)
async def test_a_form_of_another_page_changes_nothing(admin, task_id, path, fields, headers):
    fields = {name: value or await csrf_of(admin) for name, value in fields.items() if value != ""}
    response = await admin.post(f"{HOME}/{task_id}/{path}", data=fields, headers=headers)
    assert response.status_code == 403
    assert "open the page again" in response.text


async def test_the_form_of_another_session_changes_nothing(service, admin, task_id):
    async with httpx.AsyncClient(base_url=service.base_url) as other:
        await other.post("/console/login", data=ADMIN)
        theirs = await csrf_of(other)
    for path in (f"{HOME}/{task_id}/retry", "/console/queues/console/pause", f"{HOME}/bulk"):
        fields = {"csrf": theirs, "operation": "retry", "ids": str(task_id)}
        assert (await admin.post(path, data=fields)).status_code == 403
    assert (await admin.post("/console/logout", data={"csrf": theirs})).status_code == 403
    assert (await admin.get(HOME)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://[::1"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_another_site_logs_nobody_in(visitor, headers):
    response = await visitor.post("/console/login", data=ADMIN, headers=headers)
    assert response.status_code == 403
    assert "set-cookie" not in response.headers


async def test_a_logout_ends_the_session_everywhere(admin):
    cookie = admin.cookies[COOKIE]
    profile = "/api/v1/auth/profile"
    assert (await admin.get(profile, headers=bearer(cookie))).status_code == 200
    response = await admin.post("/console/logout", data={"csrf": await csrf_of(admin)})
    assert (response.status_code, response.headers["location"]) == (303, "/console/login")
    assert COOKIE not in admin.cookies

    async def is_dead():
        page = await admin.get(HOME, headers={"Cookie": f"{COOKIE}={cookie}"})
        call = await admin.get(profile, headers=bearer(cookie))
        return (page.status_code, call.status_code) == (303, 401)

    await eventually(is_dead, within=1.5)


async def test_a_session_that_ends_elsewhere_ends_in_the_console(admin):
    await admin.post("/api/v1/auth/logout", headers=bearer(admin.cookies[COOKIE]))

    async def is_dead():
        return (await admin.get(HOME)).status_code == 303

    await eventually(is_dead, within=1.5)


async def test_the_cookie_opens_nothing_of_the_api(admin):
    response = await admin.get(
        "/api/v1/admin/tasks", headers={"Cookie": f"{COOKIE}={admin.cookies[COOKIE]}"}
    )
    refused(response, 401, "MISSING_TOKEN", "Authorization header is required")


async def test_other_origins_read_no_page_of_a_session(production):
    response = await production.client.get(
        "/console/login", headers={"Origin": "https://app.example.org"}
    )
    assert "access-control-allow-credentials" not in response.headers


async def test_failed_logins_are_throttled_and_recorded(service, visitor):
    headers = {"X-Forwarded-For": "203.0.113.191"}
    fields = {"username": f"nobody-{uuid7().hex}", "password": "wrong"}
    statuses = [
        (await visitor.post("/console/login", data=fields, headers=headers)).status_code
        for _ in range(12)
    ]
    assert statuses[:10] == [401] * 10
    assert statuses[-1] == 429
    # The attempts are those of the account: the API's login waits as well.
    response = await visitor.post("/api/v1/auth/login", json=fields, headers=headers)
    assert response.status_code == 429
    connection = await asyncpg.connect(service.env["DATABASE_URL"])

    async def recorded():
        return await connection.fetchval(
            "SELECT sum(count) FROM audit_log WHERE actor = $1 AND action = 'auth.login' "
            "AND outcome = 'refused' AND address = '203.0.113.191'",
            fields["username"],
        )

    async def all_are():
        return await recorded() == 13

    await eventually(all_are)
    await connection.close()


async def test_a_login_is_recorded(service, admin):
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    found = await connection.fetchrow(
        "SELECT actor, outcome FROM audit_log WHERE action = 'auth.login' ORDER BY id DESC LIMIT 1"
    )
    await connection.close()
    assert tuple(found) == ("admin", "done")


@pytest.mark.parametrize(
    "path",
    [
        f"{HOME}?name=%00",
        f"{HOME}?queue=%00",
        f"{HOME}?cursor=x",
        "/console/queues/%00",
        f"{HOME}/%00",
    ],
)
async def test_a_malformed_address_is_a_page_with_400(admin, path):
    response = await admin.get(path)
    assert response.status_code == 400
    assert response.headers["content-type"] == "text/html; charset=utf-8"


async def test_a_malformed_login_is_refused(visitor):
    for fields in (
        {},
        {"username": "a\0b", "password": "x"},
        {"username": "a" * 256, "password": "x"},
    ):
        assert (await visitor.post("/console/login", data=fields)).status_code == 400
    raw = {"content": b"username=%ff&password=x"}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await visitor.post("/console/login", **raw, headers=headers)).status_code == 400


async def test_a_large_form_is_refused(admin, task_id):
    fields = {"csrf": await csrf_of(admin), "operation": "retry", "ids": NO_ID * 2000}
    assert (await admin.post(f"{HOME}/bulk", data=fields)).status_code == 413
