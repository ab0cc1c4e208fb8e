"""Health endpoints for operators and monitors."""

from importlib.metadata import version

from sanic import Blueprint, HTTPResponse, Request

from api.endpoint.operation import operation
from api.endpoint.replies import reply
from api.schemas.responses import HealthOut, LiveOut, ReadyOut
from services.errors import Unavailable

SERVICE = "course-enrollment-service"

system = Blueprint("system")


@operation(system, "GET", "/health", responses={200: HealthOut, 503: HealthOut})
async def health(request: Request) -> HTTPResponse:
    """Show which parts answer

    200 while the service can answer; 503 when the database is gone.
    """
    context = request.app.ctx
    parts = await context.health.parts(context.cache, context.storage)
    content = HealthOut.of(parts, service=SERVICE, version=version(SERVICE))
    return reply(content, 200 if parts.database else 503)


@operation(system, "GET", "/health/live", responses={200: LiveOut}, unlimited=True)
async def live(_request: Request) -> HTTPResponse:
    """Tell that this process answers"""
    return reply(LiveOut())


@operation(
    system,
    "GET",
    "/health/ready",
    responses={200: ReadyOut},
    errors=(Unavailable,),
    unlimited=True,
)
async def ready(request: Request) -> HTTPResponse:
    """Tell whether this process can do its work, which needs the database"""
    if not await request.app.ctx.health.is_connected():
        raise Unavailable("The database is unavailable; try again soon")
    return reply(ReadyOut())
