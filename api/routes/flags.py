"""Admin endpoints for feature flags."""

from sanic import Blueprint, HTTPResponse, Request
from sanic.response import empty

from api.endpoint.cached import TAGGED
from api.endpoint.etags import etag, if_match
from api.endpoint.operation import API_PREFIX, Access, operation
from api.endpoint.replies import PAGE_HEADERS, page_headers, reply
from api.schemas.fields import FlagName
from api.schemas.flags import FlagChangesOut, FlagOut, FlagsOut
from api.schemas.requests import PageQuery
from services.flags import store
from services.flags.definitions import FlagDefinition
from services.flags.store import FlagChanged, FlagNotFound, StoredFlag

flags = Blueprint("admin-flags", url_prefix=f"{API_PREFIX}/admin/flags")

_CONDITION = {"If-Match": "Only if this tag is the flag's; otherwise 412, and nothing changes."}


@operation(flags, "GET", access=Access.ADMIN, responses={200: FlagsOut})
async def list_flags(_request: Request) -> HTTPResponse:
    """List the feature flags, by name"""
    return reply(FlagsOut(flags=[FlagOut.of(flag) for flag in await store.list_flags()]))


@operation(
    flags,
    "GET /<flag_name>",
    access=Access.ADMIN,
    responses={200: FlagOut},
    errors=(FlagNotFound,),
    headers=TAGGED,
)
async def get_flag(_request: Request, flag_name: FlagName) -> HTTPResponse:
    """Show a feature flag"""
    return _shown(await store.get_flag(flag_name))


@operation(
    flags,
    "PUT /<flag_name>",
    access=Access.ADMIN,
    responses={200: FlagOut},
    errors=(FlagNotFound, FlagChanged),
    takes=_CONDITION,
    headers=TAGGED,
)
async def set_flag(request: Request, flag_name: FlagName, body: FlagDefinition) -> HTTPResponse:
    """Define a feature flag

    All instances follow within a second.
    """
    return _shown(await store.set_flag(flag_name, body, if_match(request, _digest)))


@operation(
    flags,
    "POST /<flag_name>/kill",
    access=Access.ADMIN,
    responses={200: FlagOut},
    errors=(FlagNotFound,),
    headers=TAGGED,
)
async def kill_flag(_request: Request, flag_name: FlagName) -> HTTPResponse:
    """Turn a feature flag off for all

    The rest of its definition stays. All instances follow within a second.
    """
    return _shown(await store.kill_flag(flag_name))


@operation(
    flags,
    "DELETE /<flag_name>",
    access=Access.ADMIN,
    responses={204: None},
    errors=(FlagNotFound, FlagChanged),
    takes=_CONDITION,
)
async def delete_flag(request: Request, flag_name: FlagName) -> HTTPResponse:
    """Delete a feature flag's definition: it has its default again"""
    await store.delete_flag(flag_name, if_match(request, _digest))
    return empty()


@operation(
    flags,
    "GET /<flag_name>/history",
    access=Access.ADMIN,
    responses={200: FlagChangesOut},
    errors=(FlagNotFound,),
    headers=PAGE_HEADERS,
)
async def list_flag_changes(
    request: Request, flag_name: FlagName, query: PageQuery
) -> HTTPResponse:
    """List the changes of a feature flag, the latest first"""
    offset = (query.page - 1) * query.limit
    changes, total = await store.history(flag_name, query.limit, offset)
    headers = page_headers(request.path, query.position(), total)
    return reply(FlagChangesOut.of(changes, total), headers=headers)


def _shown(flag: StoredFlag) -> HTTPResponse:
    return reply(FlagOut.of(flag), headers={"ETag": etag(_digest(flag.version))})


def _digest(version: int) -> str:
    return f"{version:x}"
