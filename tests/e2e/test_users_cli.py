"""`enroll users` and `enroll keys` against the running service."""

import asyncio
import json
import os
import stat

import asyncpg
import httpx
import jwt
import pytest
from redis.asyncio import Redis
from uuid_utils.compat import uuid7

from tests import forkserver
from tests.factories import ADMIN, bearer, dies_everywhere, eventually, refused
from tests.instances import instance

LOGIN, PROFILE = "/api/v1/auth/login", "/api/v1/auth/profile"
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def enroll(service):
    """Runs a command with a text on its standard input."""

    async def run(*arguments, said="", code=0):
        environment = os.environ | service.env | {"DATA_DIR": str(service.data_dir)}
        wide = {"TERM": "dumb", "COLUMNS": "200"}
        done = await forkserver.enroll(*arguments, env=environment | wide, typed=said)
        assert done.code == code, done.errors
        assert "Traceback" not in done.errors
        return done.output if code == 0 else done.errors

    return run


@pytest.fixture
async def username(enroll):
    """A student that the command line created."""
    name = f"user-{uuid7().hex}"
    done = await enroll("users", "add", name, said=f"{PASSWORD}\n")
    assert done == f"{name} may log in, as student\n"
    return name


async def log_in(client, username, password=PASSWORD):
    return await client.post(LOGIN, json={"username": username, "password": password})


async def listed(enroll, command, **wanted):
    rows = json.loads(await enroll("users", command, "--json"))
    return [row for row in rows if wanted.items() <= row.items()]


@pytest.mark.parametrize("command", [("users", "list"), ("users", "sessions"), ("audit",)])
async def test_a_list_is_paged(client, enroll, username, command):
    for _ in range(2):
        await log_in(client, username)

    async def page(limit, number):
        options = ("--limit", limit, "--page", number, "--json")
        return json.loads(await enroll(*command, *options))

    both = await page("2", "1")
    assert len(both) == 2
    assert await page("1", "1") + await page("1", "2") == both
    assert await page("2", "5000") == []


async def test_an_added_user_can_log_in(client, enroll, username):
    response = await log_in(client, username)
    assert response.json()["user"]["role"] == "student"
    [row] = await listed(enroll, "list", username=username)
    assert (row["role"], row["disabled"], row["sessions"]) == ("student", False, 1)
    assert "password" not in json.dumps(row)


async def test_an_admin_is_only_added_by_an_option(client, enroll):
    name = f"admin-{uuid7().hex}"
    await enroll("users", "add", name, "--role", "admin", said=PASSWORD)
    token = (await log_in(client, name)).json()["token"]
    response = await client.get("/api/v1/admin/students", headers=bearer(token))
    assert response.status_code == 200


async def test_a_new_password_ends_the_sessions(service, client, enroll, username):
    session = (await log_in(client, username)).json()
    done = await enroll("users", "passwd", username, said="another password\n")
    assert done == f"{username} has a new password; sessions ended: 1\n"
    await dies_everywhere(service.base_url, session["token"])
    assert (await log_in(client, username)).status_code == 401
    assert (await log_in(client, username, "another password")).status_code == 200


async def test_a_disabled_user_is_refused_within_a_second_until_enabled(
    service, client, enroll, username
):
    session = (await log_in(client, username)).json()
    done = await enroll("users", "disable", username)
    assert done == f"{username} may not log in any more; sessions ended: 1\n"
    await dies_everywhere(service.base_url, session["token"])
    response = await client.post(
        "/api/v1/auth/refresh", json={"refresh_token": session["refresh_token"]}
    )
    assert response.status_code == 401
    refused(
        await log_in(client, username), 401, "INVALID_CREDENTIALS", "Invalid username or password"
    )
    [row] = await listed(enroll, "list", username=username)
    assert (row["disabled"], row["sessions"]) == (True, 0)
    await enroll("users", "enable", username)
    assert (await log_in(client, username)).status_code == 200
    # Ended sessions stay ended.
    response = await client.get(PROFILE, headers=bearer(session["token"]))
    assert response.status_code == 401


async def test_a_session_that_ends_on_one_instance_ends_on_others_within_a_second(
    service, client, enroll, username, tmp_path
):
    # The instance of another machine: it shares the database and Redis, and no file.
    async with (
        instance(tmp_path, service.env) as address,
        httpx.AsyncClient(base_url=address) as other,
    ):
        for here, there, base_url in (
            (client, other, address),
            (other, client, service.base_url),
        ):
            token = (await log_in(here, username)).json()["token"]
            assert (await there.get(PROFILE, headers=bearer(token))).status_code == 200
            await here.post("/api/v1/auth/logout", headers=bearer(token))
            await dies_everywhere(base_url, token)
        tokens = [(await log_in(each, username)).json()["token"] for each in (client, other)]
        await enroll("users", "disable", username)
        for token in tokens:
            for base_url in (address, service.base_url):
                await dies_everywhere(base_url, token)


@pytest.mark.parametrize(
    ("call", "said", "complaint"),
    [
        (["add", "admin"], PASSWORD, "There is a user of this name already"),
        (["add", "short"], "1234567", "A password must have 8 to 1024 characters and no NUL"),
        (["add", "long"], "x" * 1025, "A password must have 8 to 1024 characters and no NUL"),
        (["add", "nothing"], "", "A password must have 8 to 1024 characters and no NUL"),
        (["add", "a\nb"], PASSWORD, "A user's name must have 1 to 255 characters"),
        (["add", "x" * 256], PASSWORD, "A user's name must have 1 to 255 characters"),
        (["passwd", "nobody"], PASSWORD, "The requested user does not exist"),
        (["disable", "nobody"], "", "The requested user does not exist"),
        (["enable", "nobody"], "", "The requested user does not exist"),
    ],
)
async def test_faults_are_reported_in_one_sentence(enroll, call, said, complaint):
    found = await enroll("users", *call, said=said, code=1)
    assert found.startswith(f"enroll: {complaint}")
    assert found.count("\n") == 1


async def test_a_password_is_not_accepted_as_an_argument(enroll):
    assert "unexpected extra argument" in await enroll("users", "add", "x", "secret", code=2)
    assert "No such option" in await enroll("users", "add", "x", "--password", "secret", code=2)


async def test_sessions_are_listed_in_redis_for_a_day(service, client, enroll, username):
    headers = {"X-Forwarded-For": "203.0.113.77"}
    body = {"username": username, "password": PASSWORD}
    session = (await client.post(LOGIN, json=body, headers=headers)).json()
    [row] = await listed(enroll, "sessions", username=username)
    assert (row["role"], row["address"]) == ("student", "203.0.113.77")
    claims = jwt.decode(session["token"], options={"verify_signature": False})
    assert row["id"] == claims["sid"]
    async with Redis.from_url(service.env["BROKER_URL"]) as redis:
        assert 86_000 < await redis.ttl(f"session:{row['id']}") <= 86_400
    await client.post("/api/v1/auth/logout", headers=bearer(session["token"]))
    assert await listed(enroll, "sessions", username=username) == []


async def test_a_rotation_keeps_sessions_and_every_process_signs_with_the_new_key(
    service, client, enroll
):
    before = (await log_in(client, **ADMIN)).json()["token"]
    kid = (await enroll("keys", "rotate")).split()[0]
    path = service.data_dir / "keys.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().count(kid) == 1

    async def ask(_):
        async with httpx.AsyncClient(base_url=service.base_url) as own:
            old = await own.get(PROFILE, headers=bearer(before))
            new = (await log_in(own, **ADMIN)).json()["token"]
            responses = [await client.get(PROFILE, headers=bearer(new)) for _ in range(4)]
            assert [old.status_code, *(each.status_code for each in responses)] == [200] * 5
            return jwt.get_unverified_header(new)["kid"]

    async def all_use_the_new_key():
        return set(await asyncio.gather(*map(ask, range(8)))) == {kid}

    await eventually(all_use_the_new_key, within=3)
    shown = await enroll("keys", "list")
    assert kid in shown
    assert json.loads(path.read_text())["keys"][0]["secret"] not in shown


async def test_tokens_of_a_revoked_key_are_refused(service, client, enroll):
    await enroll("keys", "rotate")
    session = (await log_in(client, **ADMIN)).json()
    await enroll("keys", "rotate", "--leaked")
    try:
        await dies_everywhere(service.base_url, session["token"])
        # Refresh tokens are not signed by a key, so a client can refresh.
        response = await client.post(
            "/api/v1/auth/refresh", json={"refresh_token": session["refresh_token"]}
        )
        response = await client.get(PROFILE, headers=bearer(response.json()["token"]))
        assert response.status_code == 200
    finally:
        # The other tests' tokens are signed by the key of the settings.
        (service.data_dir / "keys.json").unlink()


async def test_old_hashes_verify_and_are_upgraded_at_login(service, client, new_user):
    user = await new_user()
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    stored = "SELECT password_hash FROM users WHERE username = $1"
    assert (await connection.fetchval(stored, user["username"])).startswith("$2a$")
    assert (await log_in(client, user["username"], "wrong")).status_code == 401
    assert (await connection.fetchval(stored, user["username"])).startswith("$2a$")
    responses = await asyncio.gather(*(log_in(client, **user) for _ in range(4)))
    assert [response.status_code for response in responses] == [200] * 4
    upgraded = await connection.fetchval(stored, user["username"])
    await connection.close()
    assert upgraded.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert (await log_in(client, **user)).status_code == 200


async def test_passwords_over_the_length_of_bcrypt_are_refused(client, new_user):
    user = await new_user(password="x" * 72)
    longer = user | {"password": "x" * 73}
    refused(
        await log_in(client, **longer), 401, "INVALID_CREDENTIALS", "Invalid username or password"
    )
    assert (await log_in(client, **user)).status_code == 200


async def test_argon2_uses_the_whole_of_a_long_password(client, enroll, username):
    await enroll("users", "passwd", username, said="ü" * 1024)
    assert (await log_in(client, username, "ü" * 1024)).status_code == 200
    assert (await log_in(client, username, "ü" * 1023)).status_code == 401
