"""What operators and monitors ask."""

import asyncio
from importlib.metadata import version

from sanic import Blueprint, HTTPResponse, Request

from api.endpoint.operation import operation
from api.endpoint.replies import reply
from api.schemas.responses import Connection, Health, HealthOut, LiveOut, ReadyOut
from services.errors import Unavailable

SERVICE = "course-enrollment-service"

system = Blueprint("system")


@operation(system, "GET", "/health", responses={200: HealthOut, 503: HealthOut})
async def health(request: Request) -> HTTPResponse:
    """Show which parts answer

    200 while the service can answer; 503 when the database is gone.
    """
    context = request.app.ctx
    connected = await context.health.is_connected()
    redis, storage, carried = await asyncio.gather(
        context.cache.is_connected(),
        context.storage.is_connected(),
        context.health.is_relay_alive() if connected else _never(),
    )
    state = Health.HEALTHY if redis and storage and carried else Health.DEGRADED
    found = HealthOut(
        status=state if connected else Health.UNHEALTHY,
        service=SERVICE,
        database=_connection(connected),
        redis=_connection(redis),
        storage=_connection(storage),
        tasks=_connection(carried),
        version=version(SERVICE),
    )
    return reply(found, 200 if connected else 503)


async def _never() -> bool:
    return False


def _connection(connected: bool) -> Connection:  # noqa: FBT001  a yes or no is what it maps
    return Connection.CONNECTED if connected else Connection.DISCONNECTED


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
        raise Unavailable("The database is away; try again soon")
    return reply(ReadyOut())
