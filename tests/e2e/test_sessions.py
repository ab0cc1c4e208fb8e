"""Refreshing and logging out: one use of a refresh token, one end for all tokens of a login."""

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
    """Ask the service's database."""
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    yield connection.fetch
    await connection.close()


async def log_in(client):
    answer = await client.post(LOGIN, json=ADMIN)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refresh(client, token):
    return await client.post(REFRESH, json={"refresh_token": token})


async def profile(client, session):
    return (await client.get(PROFILE, headers=bearer(session["token"]))).status_code


def digest(token):
    return hashlib.sha256(token.encode()).hexdigest()


async def test_a_refresh_is_answered_as_a_login_is(client):
    first = await log_in(client)
    answer = await refresh(client, first["refresh_token"])
    assert answer.status_code == 200
    second = answer.json()
    assert second.keys() == first.keys()
    assert second["user"] == first["user"]
    assert second["refresh_token"] != first["refresh_token"]
    assert answer.headers["cache-control"] == "no-store"
    # What was given out before holds until it expires.
    assert [await profile(client, each) for each in (first, second)] == [200, 200]


async def test_a_refresh_token_is_256_random_bits_and_stored_as_a_hash(client, rows):
    token = (await log_in(client))["refresh_token"]
    assert len(token) == 43
    [row] = await rows("SELECT * FROM refresh_tokens WHERE digest = $1", digest(token))
    assert token not in str(row)
    assert await rows("SELECT FROM refresh_tokens WHERE digest = $1", token) == []


async def _chain(rows, session):
    claims = jwt.decode(session["token"], options={"verify_signature": False})
    query = "SELECT digest, used_at FROM refresh_tokens WHERE session_id = $1"
    return await rows(query, claims["sid"])


async def test_parallel_refreshes_share_one_successor(service, client, rows, tmp_path):
    """On several processes of two instances: the nonce of the successor is in the database."""
    session = await log_in(client)
    async with (
        instance(tmp_path, service.env) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as other,
    ):
        for _ in range(3):
            answers = await asyncio.gather(
                *(refresh(each, session["refresh_token"]) for each in [client, other] * 10)
            )
            assert [answer.status_code for answer in answers] == [200] * 20
            [successor] = {answer.json()["refresh_token"] for answer in answers}
            assert successor != session["refresh_token"]
            chain = await _chain(rows, session)
            assert [row["digest"] for row in chain if row["used_at"] is None] == [digest(successor)]
            session = answers[0].json()
    assert len(chain) == 4


async def test_a_tab_that_is_late_gets_what_its_session_goes_on_with(client, rows):
    first = await log_in(client)
    second = (await refresh(client, first["refresh_token"])).json()
    third = (await refresh(client, second["refresh_token"])).json()
    late = (await refresh(client, first["refresh_token"])).json()
    assert late["refresh_token"] == third["refresh_token"]
    assert len(await _chain(rows, first)) == 3


async def test_who_copied_a_token_is_noticed_whichever_of_the_two_comes_later(client, rows):
    """Both got the same successor, so the second use of that ends the session."""
    session = await log_in(client)
    owner, thief = [(await refresh(client, session["refresh_token"])).json() for _ in range(2)]
    assert owner["refresh_token"] == thief["refresh_token"]
    assert (await refresh(client, owner["refresh_token"])).status_code == 200
    late = "UPDATE refresh_tokens SET used_at = used_at - interval '11 s' WHERE digest = $1"
    await rows(late, digest(owner["refresh_token"]))
    refused(await refresh(client, thief["refresh_token"]), 401, "INVALID_TOKEN", SPENT)
    assert await profile(client, owner) == 401


async def test_neither_a_spent_token_nor_the_database_has_its_successor(client, rows):
    session = await log_in(client)
    successor = (await refresh(client, session["refresh_token"])).json()["refresh_token"]
    [row] = await rows(
        "SELECT * FROM refresh_tokens WHERE digest = $1", digest(session["refresh_token"])
    )
    assert len(successor) == 43
    assert successor not in str(row)
    assert len(row["successor_nonce"]) == 64


async def test_a_refresh_token_used_again_later_ends_the_session(service, client, rows):
    first, other = await log_in(client), await log_in(client)
    second = (await refresh(client, first["refresh_token"])).json()
    late = "UPDATE refresh_tokens SET used_at = used_at - interval '11 s' WHERE digest = $1"
    await rows(late, digest(first["refresh_token"]))
    refused(await refresh(client, first["refresh_token"]), 401, "INVALID_TOKEN", SPENT)
    # Nobody knows which of the two is the thief: both are out.
    refused(await refresh(client, second["refresh_token"]), 401, "INVALID_TOKEN", SPENT)
    await dies_everywhere(service.base_url, first["token"])
    await dies_everywhere(service.base_url, second["token"])
    assert await profile(client, other) == 200


@pytest.mark.parametrize("column", ["refresh_tokens.expires_at", "sessions.expires_at"])
async def test_a_refresh_token_ends_and_so_does_a_session(client, rows, column):
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


async def test_a_session_is_not_prolonged_over_its_end(client, rows):
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


async def test_no_token_outlives_its_session(client, rows):
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


async def test_nor_does_the_first(service, tmp_path, new_user):
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
async def test_what_is_no_refresh_token_of_ours_is_refused(client, token):
    refused(await refresh(client, token), 401, "INVALID_TOKEN", SPENT)


async def test_an_access_token_is_no_refresh_token_nor_the_other_way_round(client):
    session = await log_in(client)
    answer = await refresh(client, session["token"][:512])
    refused(answer, 401, "INVALID_TOKEN", SPENT)
    answer = await client.get(PROFILE, headers=bearer(session["refresh_token"]))
    refused(answer, 401, "INVALID_TOKEN", INVALID)


async def test_a_refresh_needs_its_token(client):
    refused_for(
        await client.post(REFRESH, json={}),
        ("refresh_token", "REQUIRED", "Refresh token is required"),
    )
    # Nothing of it is trimmed: what the document allows is a token, if not one that anybody has.
    refused(await refresh(client, " "), 401, "INVALID_TOKEN", SPENT)


async def test_after_a_logout_all_tokens_of_the_login_are_dead_everywhere(service, client):
    first, other = await log_in(client), await log_in(client)
    second = (await refresh(client, first["refresh_token"])).json()
    answer = await client.post(LOGOUT, headers=bearer(second["token"]))
    assert (answer.status_code, answer.content) == (204, b"")
    await dies_everywhere(service.base_url, first["token"])
    await dies_everywhere(service.base_url, second["token"])
    refused(
        await client.post(LOGOUT, headers=bearer(first["token"])), 401, "INVALID_TOKEN", INVALID
    )
    refused(await refresh(client, second["refresh_token"]), 401, "INVALID_TOKEN", SPENT)
    assert await profile(client, other) == 200


@pytest.mark.parametrize("change", ["disabled_at = now()", "role = 'student'"])
async def test_sessions_end_when_sql_disables_or_demotes_their_user(
    service, client, rows, new_user, change
):
    user = await new_user(role="admin")
    session = (await client.post(LOGIN, json=user)).json()
    assert await profile(client, session) == 200
    await rows(f"UPDATE users SET {change} WHERE username = $1", user["username"])
    await dies_everywhere(service.base_url, session["token"])
    refused(await refresh(client, session["refresh_token"]), 401, "INVALID_TOKEN", SPENT)


async def test_a_user_whose_tokens_are_good_is_not_deleted(service, client, rows, new_user):
    user = await new_user(role="admin")
    session = (await client.post(LOGIN, json=user)).json()
    delete = "DELETE FROM users WHERE username = $1"
    with pytest.raises(asyncpg.RestrictViolationError, match="a token of session") as refusal:
        await rows(delete, user["username"])
    assert "enroll users disable" in refusal.value.hint
    # Disabled is not enough: a process that heard nothing reads the ended session there.
    await rows("UPDATE users SET disabled_at = now() WHERE username = $1", user["username"])
    await dies_everywhere(service.base_url, session["token"])
    with pytest.raises(asyncpg.RestrictViolationError):
        await rows(delete, user["username"])
    past = "UPDATE sessions SET tokens_until = now() - interval '2 minutes' WHERE user_id = $1"
    await rows(past, UUID(session["user"]["id"]))
    await rows(delete, user["username"])
    answer = await client.get(PROFILE, headers=bearer(session["token"]))
    refused(answer, 401, "INVALID_TOKEN", INVALID)


async def test_all_sessions_are_not_emptied_at_once(rows):
    with pytest.raises(asyncpg.RaiseError, match="TRUNCATE of sessions"):
        await rows("TRUNCATE users CASCADE")


async def test_who_is_disabled_is_refused_like_anybody_else(client, rows, new_user):
    user = await new_user()
    await rows("UPDATE users SET disabled_at = now() WHERE username = $1", user["username"])
    answer = await client.post(LOGIN, json=user)
    refused(answer, 401, "INVALID_CREDENTIALS", "Invalid username or password")


async def test_tokens_say_who_made_them_for_whom_and_when(client):
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
