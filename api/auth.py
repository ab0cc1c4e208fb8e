"""Logging in."""

from sanic import Blueprint, HTTPResponse, Request

from api.operation import API_PREFIX, Access, operation
from api.replies import reply
from api.schemas.requests import LoginIn
from api.schemas.responses import LoginOut, UserOut
from api.security import InvalidToken, authorize, issue_token
from services import accounts
from services.errors import InvalidCredentials, UserNotFound

auth = Blueprint("auth", url_prefix=f"{API_PREFIX}/auth")


@operation(
    auth, "POST", "/login", body=LoginIn, responses={200: LoginOut}, errors=(InvalidCredentials,)
)
async def login(request: Request, body: LoginIn) -> HTTPResponse:
    """Log in

    The token goes with later calls as `Authorization: Bearer <token>`.
    """
    user = await accounts.authenticate(body.username, body.password)
    token, expires_at = issue_token(user, request.app.ctx.settings)
    return reply(LoginOut(token=token, expires_at=expires_at, user=UserOut.of(user)))


@operation(auth, "GET", "/profile", access=Access.USER, responses={200: UserOut})
async def profile(request: Request) -> HTTPResponse:
    """Show who is logged in"""
    try:
        user = await accounts.get(authorize(request, admin=False).user_id)
    except UserNotFound:
        raise InvalidToken from None
    return reply(UserOut.of(user))
