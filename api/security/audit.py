"""Whom the audit log names: the caller of a request, and who was refused."""

from http import HTTPStatus

from sanic import Request

from api.security.tokens import Identity
from infra.observability import logs
from services.audit import trail
from services.audit.denied import Denial
from services.audit.trail import Action, Actor
from services.errors import Code

NOTED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})


def name_caller(request: Request, identity: Identity | None) -> None:
    """Say who does what this request does."""
    address = request.app.ctx.limits.clients.address(request)
    if identity is None:
        trail.set_actor(Actor(address=address))
    else:
        trail.set_actor(
            Actor(identity.username or str(identity.user_id), identity.user_id, address)
        )


def note_refusal(request: Request, status: int, code: Code) -> None:
    """Note that a request was refused, if it was for who asked, or how often."""
    if status not in NOTED:
        return
    caller: Identity | None = getattr(request.ctx, "caller", None)
    claimed: str | None = getattr(request.ctx, "claimed", None)
    route = f"/{request.route.path}" if request.route else "unknown"
    refusal = Denial(
        action=Action.LOGIN if claimed else Action.REQUEST,
        code=code,
        actor=caller.username if caller else claimed,
        actor_id=caller.user_id if caller else None,
        target=None if claimed else f"{request.method} {route}",
        address=request.app.ctx.limits.clients.address(request),
    )
    request.app.ctx.denied_audit.add(refusal, logs.request_id())
