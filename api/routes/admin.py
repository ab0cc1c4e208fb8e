"""Admin endpoints for students and enrollments of all courses."""

from sanic import Blueprint, HTTPResponse, Request
from sanic.response import empty

from api.endpoint.operation import API_PREFIX, Access, operation
from api.endpoint.replies import PAGE_HEADERS, page_headers, reply, reply_json
from api.schemas.fields import EnrollmentId
from api.schemas.requests import EnrollmentQuery, PageQuery
from api.schemas.responses import EnrollmentsOut, StudentsOut
from services.catalogue import render
from services.enrollments import listing, write
from services.errors import EnrollmentNotFound

admin = Blueprint("admin", url_prefix=f"{API_PREFIX}/admin")


@operation(
    admin, "GET /students", access=Access.ADMIN, responses={200: StudentsOut}, headers=PAGE_HEADERS
)
async def list_students(request: Request, query: PageQuery) -> HTTPResponse:
    """List the students, by email"""
    found, total = await request.app.ctx.replica_router.read(
        lambda source: listing.students(source, query.page, query.limit)
    )
    headers = page_headers(request.path, query.position(), total)
    shown = {"students": found, "total": total}
    return reply(StudentsOut.model_validate(shown, from_attributes=True), headers=headers)


@operation(
    admin,
    "GET /enrollments",
    access=Access.ADMIN,
    responses={200: EnrollmentsOut},
    headers=PAGE_HEADERS,
)
async def list_enrollments(request: Request, query: EnrollmentQuery) -> HTTPResponse:
    """List the enrollments, the latest first"""
    url_of, filters = request.app.ctx.storage.url, query.filters()
    shown, total = await request.app.ctx.replica_router.read(
        lambda source: listing.page(source, filters, query.page, query.limit, url_of)
    )
    body = b'{"enrollments":%s,"total":%d}' % (render.array(shown), total)
    return reply_json(body, headers=page_headers(request.path, query.position(), total))


@operation(
    admin,
    "DELETE /enrollments/<enrollment_id>",
    access=Access.ADMIN,
    responses={204: None},
    errors=(EnrollmentNotFound,),
)
async def delete_enrollment(_request: Request, enrollment_id: EnrollmentId) -> HTTPResponse:
    """Delete an enrollment"""
    await write.delete(enrollment_id)
    return empty()
