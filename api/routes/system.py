"""Health endpoints for operators and monitors."""

from sanic import Blueprint, HTTPResponse, Request

from api.endpoint.operation import operation
from api.endpoint.replies import reply
from api.schemas.responses import HealthOut, LiveOut, ReadyOut
from infra.identity import SERVICE, version
from services.errors import Unavailable

system = Blueprint("system")


@operation(system, "GET /health", responses={200: HealthOut, 503: HealthOut})
async def health(request: Request) -> HTTPResponse:
    """Show which parts answer

    200 while the service can answer; 503 when the database is gone.
    """
    context = request.app.ctx
    parts = await context.health.parts(context.cache, context.storage)
    content = HealthOut.of(parts, service=SERVICE, version=version())
    return reply(content, 200 if parts.database else 503)


@operation(system, "GET /health/live", responses={200: LiveOut}, unlimited=True)
async def live(_request: Request) -> HTTPResponse:
    """Tell that this process answers"""
    return reply(LiveOut())


@operation(
    system, "GET /health/ready", responses={200: ReadyOut}, errors=(Unavailable,), unlimited=True
)
async def ready(request: Request) -> HTTPResponse:
    """Tell whether this process should get requests

    It needs the database, with the migrations that this release needs. An instance that is told to
    stop is not ready from that moment on.
    """
    context = request.app.ctx
    if not await context.health.is_connected():
        raise Unavailable("The database is unavailable; try again soon")
    if not await context.health.is_migrated():
        raise Unavailable("The database lacks migrations of this release")
    # Last, because the instance may be told to stop during the checks.
    if not context.is_ready:
        raise Unavailable("The service is stopping; another instance answers")
    return reply(ReadyOut())
