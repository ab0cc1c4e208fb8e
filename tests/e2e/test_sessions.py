"""Refresh and logout: a refresh token is used once, and a logout ends all tokens of a login."""

import asyncio
import hashlib
from datetime import datetime
from uuid import UUID

import asyncpg
import httpx
import jwt
import pytest

from tests.factories import ADMIN, bearer, dies_everywhere, refused, refused_for
from tests.instances import instance

LOGIN, REFRESH = "/api/v1/auth/login", "/api/v1/auth/refresh"
LOGOUT, PROFILE = "/api/v1/auth/logout", "/api/v1/auth/profile"
INVALID = "JWT token is invalid or expired"
SPENT = "Refresh token is invalid or expired"


@pytest.fixture(scope="module")
async def rows(service):
    """Queries the service's database."""
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    yield connection.fetch
    await connection.close()


async def log_in(client):
    response = await client.post(LOGIN, json=ADMIN)
    assert response.status_code == 200, response.text
    return response.json()


async def refresh(client, token):
    return await client.post(REFRESH, json={"refresh_token": token})


async def profile(client, session):
    return (await client.get(PROFILE, headers=bearer(session["token"]))).status_code


def digest(token):
    return hashlib.sha256(token.encode()).hexdigest()


async def test_a_refresh_has_the_response_of_a_login(client):
    first = await log_in(client)
    response = await refresh(client, first["refresh_token"])
    assert response.status_code == 200
    second = response.json()
    assert second.keys() == first.keys()
    assert second["user"] == first["user"]
    assert second["refresh_token"] != first["refresh_token"]
    assert response.headers["cache-control"] == "no-store"
    # Earlier access tokens stay valid until they expire.
    assert [await profile(client, each) for each in (first, second)] == [200, 200]


async def test_a_refresh_token_is_256_random_bits_and_stored_as_a_hash(client, rows):
    token = (await log_in(client))["refresh_token"]
    assert len(token) == 43
    [row] = await rows("SELECT * FROM refresh_tokens WHERE digest = $1", digest(token))
    assert token not in str(row)
    assert await rows("SELECT FROM refresh_tokens WHERE digest = $1", token) == []


async def _token_chain(rows, session):
    claims = jwt.decode(session["token"], options={"verify_signature": False})
    query = "SELECT digest, used_at FROM refresh_tokens WHERE session_id = $1"
    return await rows(query, claims["sid"])


async def test_parallel_refreshes_get_the_same_successor(service, client, rows, tmp_path):
    """Over several processes of two instances: the nonce of the successor is in the database."""
    session = await log_in(client)
    async with (
        instance(tmp_path, service.env) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as other,
    ):
        for _ in range(3):
            responses = await asyncio.gather(
                *(refresh(each, session["refresh_token"]) for each in [client, other] * 10)
            )
            assert [response.status_code for response in responses] == [200] * 20
            [successor] = {response.json()["refresh_token"] for response in responses}
            assert successor != session["refresh_token"]
            chain = await _token_chain(rows, session)
            assert [row["digest"] for row in chain if row["used_at"] is None] == [digest(successor)]
            session = responses[0].json()
    assert len(chain) == 4


async def test_a_late_refresh_gets_the_latest_token_of_the_session(client, rows):
    first = await log_in(client)
    second = (await refresh(client, first["refresh_token"])).json()
    third = (await refresh(client, second["refresh_token"])).json()
    late = (await refresh(client, first["refresh_token"])).json()
    assert late["refresh_token"] == third["refresh_token"]
    assert len(await _token_chain(rows, first)) == 3


async def test_a_copied_refresh_token_is_detected_at_its_second_use(service, client, rows):
    """Owner and thief have the same successor, so its second use ends the session."""
    session = await log_in(client)
    owner, thief = [(await refresh(client, session["refresh_token"])).json() for _ in range(2)]
    assert owner["refresh_token"] == thief["refresh_token"]
    assert (await refresh(client, owner["refresh_token"])).status_code == 200
    late = "UPDATE refresh_tokens SET used_at = used_at - interval '11 s' WHERE digest = $1"
    await rows(late, digest(owner["refresh_token"]))
    refused(await refresh(client, thief["refresh_token"]), 401, "INVALID_TOKEN", SPENT)
    assert await profile(client, owner) == 401
    await dies_everywhere(service.base_url, owner["token"])


async def test_neither_a_spent_token_nor_the_database_reveals_the_successor(client, rows):
    session = await log_in(client)
    successor = (await refresh(client, session["refresh_token"])).json()["refresh_token"]
    [row] = await rows(
        "SELECT * FROM refresh_tokens WHERE digest = $1", digest(session["refresh_token"])
    )
    assert len(successor) == 43
    assert successor not in str(row)
    assert len(row["successor_nonce"]) == 64


async def test_late_reuse_of_a_refresh_token_ends_the_session(service, client, rows):
    first, other = await log_in(client), await log_in(client)
    second = (await refresh(client, first["refresh_token"])).json()
    late = "UPDATE refresh_tokens SET used_at = used_at - interval '11 s' WHERE digest = $1"
    await rows(late, digest(first["refresh_token"]))
    refused(await refresh(client, first["refresh_token"]), 401, "INVALID_TOKEN", SPENT)
    # The server cannot tell the owner from the thief, so the session ends for both.
    refused(await refresh(client, second["refresh_token"]), 401, "INVALID_TOKEN", SPENT)
    await dies_everywhere(service.base_url, first["token"])
    await dies_everywhere(service.base_url, second["token"])
    assert await profile(client, other) == 200


@pytest.mark.parametrize("column", ["refresh_tokens.expires_at", "sessions.expires_at"])
async def test_refresh_tokens_and_sessions_expire(client, rows, column):
    token = (await log_in(client))["refresh_token"]
    table = column.partition(".")[0]
    key = "session_id" if table == "sessions" else "digest"
    await rows(
        f"UPDATE {table} SET expires_at = now() FROM refresh_tokens found "
        f"WHERE found.digest = $1 AND {table}."
        + ("id = found.session_id" if key == "session_id" else "digest = found.digest"),
        digest(token),
    )
    refused(await refresh(client, token), 401, "TOKEN_EXPIRED", SPENT)


async def test_a_refresh_does_not_extend_the_session(client, rows):
    session = await log_in(client)
    claims = jwt.decode(session["token"], options={"verify_signature": False})
    end = "UPDATE sessions SET expires_at = now() + interval '1 h' WHERE id = $1"
    await rows(end, claims["sid"])
    successor = (await refresh(client, session["refresh_token"])).json()["refresh_token"]
    [left] = await rows(
        "SELECT expires_at <= now() + interval '1 h' AS held FROM refresh_tokens WHERE digest = $1",
        digest(successor),
    )
    assert left["held"]


async def test_no_access_token_outlives_its_session(client, rows):
    session = await log_in(client)
    claims = jwt.decode(session["token"], options={"verify_signature": False})
    [row] = await rows(
        "UPDATE sessions SET expires_at = now() + interval '1 h' WHERE id = $1 "
        "RETURNING extract(epoch FROM expires_at) AS end",
        claims["sid"],
    )
    later = (await refresh(client, session["refresh_token"])).json()
    claims = jwt.decode(later["token"], options={"verify_signature": False})
    assert claims["exp"] == int(row["end"])
    assert datetime.fromisoformat(later["expires_at"]).timestamp() == int(row["end"])


async def test_the_first_access_token_does_not_outlive_its_session(service, tmp_path, new_user):
    settings = {"SESSION_LIFETIME_SECONDS": "3600", "TOKEN_LIFETIME_SECONDS": "86400"}
    user = await new_user()
    async with (
        instance(tmp_path, service.env, **settings) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        session = (await client.post(LOGIN, json=user)).json()
    claims = jwt.decode(session["token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] in {3599, 3600}


@pytest.mark.parametrize("token", ["x", "A" * 43, "é", "x" * 512, "a\0b"])
async def test_an_invalid_refresh_token_is_401(client, token):
    refused(await refresh(client, token), 401, "INVALID_TOKEN", SPENT)


async def test_access_and_refresh_tokens_are_not_interchangeable(client):
    session = await log_in(client)
    response = await refresh(client, session["token"][:512])
    refused(response, 401, "INVALID_TOKEN", SPENT)
    response = await client.get(PROFILE, headers=bearer(session["refresh_token"]))
    refused(response, 401, "INVALID_TOKEN", INVALID)


async def test_a_refresh_requires_its_token(client):
    refused_for(
        await client.post(REFRESH, json={}),
        ("refresh_token", "REQUIRED", "Refresh token is required"),
    )
    # Tokens are not trimmed: a text that the schema allows is an unknown token.
    refused(await refresh(client, " "), 401, "INVALID_TOKEN", SPENT)


async def test_a_logout_ends_all_tokens_of_the_login_on_every_process(service, client):
    first, other = await log_in(client), await log_in(client)
    second = (await refresh(client, first["refresh_token"])).json()
    response = await client.post(LOGOUT, headers=bearer(second["token"]))
    assert (response.status_code, response.content) == (204, b"")
    await dies_everywhere(service.base_url, first["token"])
    await dies_everywhere(service.base_url, second["token"])
    refused(
        await client.post(LOGOUT, headers=bearer(first["token"])), 401, "INVALID_TOKEN", INVALID
    )
    refused(await refresh(client, second["refresh_token"]), 401, "INVALID_TOKEN", SPENT)
    assert await profile(client, other) == 200


@pytest.mark.parametrize("change", ["disabled_at = now()", "role = 'student'"])
async def test_disabling_or_demoting_a_user_by_sql_ends_the_sessions(
    service, client, rows, new_user, change
):
    user = await new_user(role="admin")
    session = (await client.post(LOGIN, json=user)).json()
    assert await profile(client, session) == 200
    await rows(f"UPDATE users SET {change} WHERE username = $1", user["username"])
    await dies_everywhere(service.base_url, session["token"])
    refused(await refresh(client, session["refresh_token"]), 401, "INVALID_TOKEN", SPENT)


async def test_a_user_with_valid_tokens_is_not_deleted(service, client, rows, new_user):
    user = await new_user(role="admin")
    session = (await client.post(LOGIN, json=user)).json()
    delete = "DELETE FROM users WHERE username = $1"
    with pytest.raises(asyncpg.RestrictViolationError, match="a token of session") as refusal:
        await rows(delete, user["username"])
    assert "enroll users disable" in refusal.value.hint
    # Disabling is not enough: a process that missed the event reads the ended session there.
    await rows("UPDATE users SET disabled_at = now() WHERE username = $1", user["username"])
    await dies_everywhere(service.base_url, session["token"])
    with pytest.raises(asyncpg.RestrictViolationError):
        await rows(delete, user["username"])
    past = "UPDATE sessions SET tokens_until = now() - interval '2 minutes' WHERE user_id = $1"
    await rows(past, UUID(session["user"]["id"]))
    await rows(delete, user["username"])
    response = await client.get(PROFILE, headers=bearer(session["token"]))
    refused(response, 401, "INVALID_TOKEN", INVALID)


async def test_the_sessions_table_cannot_be_truncated(rows):
    with pytest.raises(asyncpg.RaiseError, match="TRUNCATE of sessions"):
        await rows("TRUNCATE users CASCADE")


async def test_a_disabled_user_gets_the_refusal_of_a_wrong_password(client, rows, new_user):
    user = await new_user()
    await rows("UPDATE users SET disabled_at = now() WHERE username = $1", user["username"])
    response = await client.post(LOGIN, json=user)
    refused(response, 401, "INVALID_CREDENTIALS", "Invalid username or password")


async def test_tokens_have_issuer_subject_and_time(client):
    session = await log_in(client)
    head = jwt.get_unverified_header(session["token"])
    assert head.keys() == {"alg", "typ", "kid"}
    assert head["alg"] == "HS256"
    claims = jwt.decode(session["token"], options={"verify_signature": False})
    assert claims["typ"] == "access"
    assert claims["iss"] == "course-enrollment-service"
    assert claims["aud"] == "course-enrollment-api"
    assert claims["iat"] == claims["nbf"] == claims["exp"] - 24 * 60 * 60
    assert claims["jti"]
    assert (claims["sub"], claims["role"]) == (session["user"]["id"], "admin")
