"""Records a request's caller and its denial in the audit log."""

from http import HTTPStatus

from sanic import Request

from api.security.tokens import Identity
from infra.observability import logs
from services.audit import trail
from services.audit.denied import Denial
from services.audit.trail import Action, Actor
from services.errors import Code

RECORDED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})


def set_caller(request: Request, identity: Identity | None) -> None:
    """Set the actor of all records of this request."""
    address = request.app.ctx.limits.clients.address(request)
    if identity is None:
        trail.set_actor(Actor(address=address))
    else:
        trail.set_actor(
            Actor(identity.username or str(identity.user_id), identity.user_id, address)
        )


def record_denial(request: Request, status: int, code: Code) -> None:
    """Record a request that was denied with 401, 403 or 429."""
    if status not in RECORDED:
        return
    caller: Identity | None = getattr(request.ctx, "caller", None)
    claimed: str | None = getattr(request.ctx, "claimed", None)
    route = f"/{request.route.path}" if request.route else "unknown"
    denial = Denial(
        action=Action.LOGIN if claimed else Action.REQUEST,
        code=code,
        actor=caller.username if caller else claimed,
        actor_id=caller.user_id if caller else None,
        target=None if claimed else f"{request.method} {route}",
        address=request.app.ctx.limits.clients.address(request),
    )
    request.app.ctx.denied_audit.add(denial, logs.request_id())
