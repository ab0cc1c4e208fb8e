"""Login, and the access that a token gives."""

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


async def test_login_returns_a_token_and_its_user(client):
    before = datetime.now(UTC)
    response = await client.post(LOGIN, json=ADMIN)
    assert response.status_code == 200
    content = response.json()
    assert content.keys() - {"refresh_token"} == {"token", "expires_at", "user"}
    assert TIME.fullmatch(content["expires_at"])
    lifetime = datetime.fromisoformat(content["expires_at"]) - before
    assert timedelta(hours=23) < lifetime < timedelta(hours=25)
    user = content["user"]
    assert user.keys() == {"id", "username", "role", "created_at"}
    assert (user["username"], user["role"]) == ("admin", "admin")
    assert UUID(user["id"]).version == 7
    assert TIME.fullmatch(user["created_at"])
    assert "password" not in response.text


async def test_the_token_of_a_login_gives_access_to_the_profile(client):
    session = (await client.post(LOGIN, json=ADMIN)).json()
    response = await client.get(PROFILE, headers=bearer(session["token"]))
    assert (response.status_code, response.json()) == (200, session["user"])


async def test_the_authorization_scheme_is_case_insensitive(client, api):
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
async def test_wrong_credentials_all_get_the_same_refusal(client, wrong):
    response = await client.post(LOGIN, json=ADMIN | wrong)
    refused(response, 401, "INVALID_CREDENTIALS", "Invalid username or password")


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
async def test_login_names_the_invalid_field(client, changes, fault):
    content = {name: value for name, value in (ADMIN | changes).items() if value is not ...}
    refused_for(await client.post(LOGIN, json=content), fault)


async def test_login_names_all_invalid_fields(client):
    refused_for(
        await client.post(LOGIN, json={"password": 5, "x": 1}),
        ("username", "REQUIRED", "Username is required"),
        ("password", "INVALID_TYPE", "Password must be text"),
        ("x", "UNKNOWN_FIELD", "There is no field called 'x'"),
    )


@pytest.mark.parametrize(("method", "path"), FOR_USERS)
async def test_a_missing_token_is_401(client, method, path):
    response = await client.request(method, f"/api/v1{path}")
    refused(response, 401, "MISSING_TOKEN", "Authorization header is required")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), FOR_USERS)
async def test_a_forged_token_is_401(client, method, path):
    headers = bearer(token("not-the-secret-but-quite-as-long-as-it", role="admin"))
    response = await client.request(method, f"/api/v1{path}", headers=headers)
    refused(response, 401, "INVALID_TOKEN", INVALID)


@pytest.mark.parametrize(("method", "path"), FOR_ADMINS)
async def test_a_students_token_is_403_on_admin_routes(client, method, path):
    response = await client.request(method, f"/api/v1{path}", headers=bearer(token()))
    refused(response, 403, "FORBIDDEN", "Only an admin may do this")


@pytest.mark.parametrize("header", ["Basic YWRtaW46YWRtaW4=", "Bearer", "x", "Token x"])
async def test_another_authorization_scheme_is_401(client, header):
    response = await client.get(PROFILE, headers={"Authorization": header})
    refused(response, 401, "INVALID_TOKEN", "Invalid token format")


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
        # Tokens of the Go service: their claims differ, and they could not be revoked.
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
async def test_a_token_with_other_claims_is_401(client, forged):
    # The profile is left out: it refuses tokens of unknown accounts anyway.
    response = await client.get("/api/v1/admin/students", headers=bearer(forged()))
    refused(response, 401, "INVALID_TOKEN", INVALID)


async def test_a_token_with_the_right_claims_is_accepted(client):
    response = await client.get("/api/v1/admin/students", headers=bearer(token(role="admin")))
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/auth/profile", "/admin/students"])
async def test_an_expired_token_gets_its_own_error_code(client, path):
    old = bearer(token(role="admin", iat=1_700_000_000, exp=1_700_086_400))
    response = await client.get(f"/api/v1{path}", headers=old)
    refused(response, 401, "TOKEN_EXPIRED", INVALID)


@pytest.mark.parametrize(("late", "status"), [(-20, 200), (-40, 401)])
async def test_clocks_may_differ_by_30_seconds(client, late, status):
    now = int(time.time())
    held = bearer(token(role="admin", iat=now - 600, nbf=now - 600, exp=now + late))
    early = bearer(token(role="admin", nbf=now - late, iat=now - late))
    for headers in (held, early):
        response = await client.get("/api/v1/admin/students", headers=headers)
        assert response.status_code == status


async def test_the_profile_of_a_deleted_account_is_401(client):
    response = await client.get(PROFILE, headers=bearer(token(role="admin")))
    refused(response, 401, "INVALID_TOKEN", INVALID)
