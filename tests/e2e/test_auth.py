"""Logging in, and who may call what."""

import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt
import pytest

from tests.factories import ADMIN, KID, NO_ID, TIME, bearer, refused, refused_for, token

LOGIN = "/api/v1/auth/login"
PROFILE = "/api/v1/auth/profile"
INVALID = "JWT token is invalid or expired"
FOR_ADMINS = [
    ("POST", "/courses"),
    ("POST", "/courses/upload"),
    ("PUT", f"/courses/{NO_ID}"),
    ("PUT", f"/courses/{NO_ID}/image"),
    ("DELETE", f"/courses/{NO_ID}"),
    ("GET", f"/courses/{NO_ID}/students"),
    ("DELETE", f"/courses/{NO_ID}/students/a@example.org"),
    ("GET", "/admin/students"),
    ("GET", "/admin/enrollments"),
    ("DELETE", f"/admin/enrollments/{NO_ID}"),
]
CLAIMS = ("typ", "iss", "aud", "sub", "role", "sid", "iat", "nbf", "exp", "jti")
FOR_USERS = [("GET", "/auth/profile"), *FOR_ADMINS]


def unsigned() -> str:
    claims = jwt.decode(token(role="admin"), options={"verify_signature": False})
    return jwt.encode(claims, None, algorithm="none", headers={"kid": KID})


def tampered() -> str:
    head, _, signature = token().split(".")
    return ".".join([head, token(role="admin").split(".")[1], signature])


async def test_login_answers_a_token_and_whose_it_is(client):
    before = datetime.now(UTC)
    answer = await client.post(LOGIN, json=ADMIN)
    assert answer.status_code == 200
    content = answer.json()
    assert content.keys() - {"refresh_token"} == {"token", "expires_at", "user"}
    assert TIME.fullmatch(content["expires_at"])
    lifetime = datetime.fromisoformat(content["expires_at"]) - before
    assert timedelta(hours=23) < lifetime < timedelta(hours=25)
    user = content["user"]
    assert user.keys() == {"id", "username", "role", "created_at"}
    assert (user["username"], user["role"]) == ("admin", "admin")
    assert UUID(user["id"]).version == 7
    assert TIME.fullmatch(user["created_at"])
    assert "password" not in answer.text


async def test_the_token_of_a_login_opens_the_profile(client):
    session = (await client.post(LOGIN, json=ADMIN)).json()
    answer = await client.get(PROFILE, headers=bearer(session["token"]))
    assert (answer.status_code, answer.json()) == (200, session["user"])


async def test_the_scheme_is_read_in_any_case(client, api):
    headers = {"Authorization": api.headers["Authorization"].replace("Bearer", "bEARER")}
    assert (await client.get(PROFILE, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "admin!Dev"},
        {"password": "admin!dev "},
        {"password": "x" * 1024},
        {"password": "admin!dev\0"},
        {"username": "nobody"},
        {"username": "admin' OR '1'='1"},
    ],
    ids=str,
)
async def test_wrong_credentials_are_refused_alike(client, wrong):
    answer = await client.post(LOGIN, json=ADMIN | wrong)
    refused(answer, 401, "INVALID_CREDENTIALS", "Invalid username or password")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"username": ...}, ("username", "REQUIRED", "Username is required")),
        ({"username": None}, ("username", "REQUIRED", "Username is required")),
        ({"username": ""}, ("username", "REQUIRED", "Username is required")),
        ({"username": 5}, ("username", "INVALID_TYPE", "Username must be text")),
        (
            {"username": "x" * 256},
            ("username", "TOO_LONG", "Username must have at most 255 characters"),
        ),
        ({"password": ...}, ("password", "REQUIRED", "Password is required")),
        ({"password": None}, ("password", "REQUIRED", "Password is required")),
        ({"password": ""}, ("password", "REQUIRED", "Password is required")),
        ({"password": ["x"]}, ("password", "INVALID_TYPE", "Password must be text")),
        (
            {"password": "x" * 1025},
            ("password", "TOO_LONG", "Password must have at most 1024 characters"),
        ),
        ({"remember": True}, ("remember", "UNKNOWN_FIELD", "There is no field called 'remember'")),
    ],
    ids=str,
)
async def test_login_names_the_field_at_fault(client, changes, fault):
    content = {name: value for name, value in (ADMIN | changes).items() if value is not ...}
    refused_for(await client.post(LOGIN, json=content), fault)


async def test_login_names_all_faults_at_once(client):
    refused_for(
        await client.post(LOGIN, json={"password": 5, "x": 1}),
        ("username", "REQUIRED", "Username is required"),
        ("password", "INVALID_TYPE", "Password must be text"),
        ("x", "UNKNOWN_FIELD", "There is no field called 'x'"),
    )


@pytest.mark.parametrize(("method", "path"), FOR_USERS)
async def test_without_a_token_nothing_is_done(client, method, path):
    answer = await client.request(method, f"/api/v1{path}")
    refused(answer, 401, "MISSING_TOKEN", "Authorization header is required")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), FOR_USERS)
async def test_a_forged_token_opens_nothing(client, method, path):
    headers = bearer(token("not-the-secret-but-quite-as-long-as-it", role="admin"))
    answer = await client.request(method, f"/api/v1{path}", headers=headers)
    refused(answer, 401, "INVALID_TOKEN", INVALID)


@pytest.mark.parametrize(("method", "path"), FOR_ADMINS)
async def test_a_student_may_not_do_what_admins_may(client, method, path):
    answer = await client.request(method, f"/api/v1{path}", headers=bearer(token()))
    refused(answer, 403, "FORBIDDEN", "Only an admin may do this")


@pytest.mark.parametrize("header", ["Basic YWRtaW46YWRtaW4=", "Bearer", "x", "Token x"])
async def test_another_kind_of_authorization_is_refused(client, header):
    answer = await client.get(PROFILE, headers={"Authorization": header})
    refused(answer, 401, "INVALID_TOKEN", "Invalid token format")


@pytest.mark.filterwarnings("ignore:The HMAC key is 44 bytes long")
@pytest.mark.parametrize(
    "forged",
    [
        lambda: "garbage",
        lambda: "a.b.c",
        lambda: f"{token(role='admin')} x",
        unsigned,
        tampered,
        lambda: token(role="admin", algorithm="HS512"),
        # The old service's: their claims are not ours, and nothing could revoke them.
        lambda: token(role="admin", kid=None),
        lambda: token(role="admin", kid="../../etc/passwd"),
        lambda: token(role="admin", typ="refresh"),
        lambda: token(role="admin", iss="somebody"),
        lambda: token(role="admin", aud="somebody"),
        lambda: token(role="admin", aud=["course-enrollment-api", "somebody"]),
        lambda: token(role="admin", nbf=9_999_999_999),
        lambda: token(role="admin", sid="all"),
        lambda: token(role="admin", exp="never"),
        lambda: token(role="root"),
        lambda: token(role="admin", sub="admin"),
        lambda: token(role="admin", iat=9_999_999_999, exp=9_999_999_999),
        *(lambda claim=claim: token(**{"role": "admin"} | {claim: None}) for claim in CLAIMS),
    ],
)
async def test_a_token_that_is_not_ours_is_refused(client, forged):
    # Not the profile: that of an account that does not exist is refused by itself.
    answer = await client.get("/api/v1/admin/students", headers=bearer(forged()))
    refused(answer, 401, "INVALID_TOKEN", INVALID)


async def test_a_token_as_ours_are_is_taken(client):
    answer = await client.get("/api/v1/admin/students", headers=bearer(token(role="admin")))
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/auth/profile", "/admin/students"])
async def test_an_expired_token_says_that_it_is(client, path):
    old = bearer(token(role="admin", iat=1_700_000_000, exp=1_700_086_400))
    answer = await client.get(f"/api/v1{path}", headers=old)
    refused(answer, 401, "TOKEN_EXPIRED", INVALID)


@pytest.mark.parametrize(("late", "status"), [(-20, 200), (-40, 401)])
async def test_clocks_may_differ_by_half_a_minute(client, late, status):
    now = int(time.time())
    held = bearer(token(role="admin", iat=now - 600, nbf=now - 600, exp=now + late))
    early = bearer(token(role="admin", nbf=now - late, iat=now - late))
    for headers in (held, early):
        answer = await client.get("/api/v1/admin/students", headers=headers)
        assert answer.status_code == status


async def test_a_token_of_an_account_that_is_gone_opens_no_profile(client):
    answer = await client.get(PROFILE, headers=bearer(token(role="admin")))
    refused(answer, 401, "INVALID_TOKEN", INVALID)
