"""What admins see and do across courses."""

from uuid import UUID

from sanic import Blueprint, HTTPResponse, Request
from sanic.response import empty

from api.operation import API_PREFIX, Access, operation
from api.replies import PAGE_HEADERS, page_headers, reply
from api.schemas.fields import EnrollmentId
from api.schemas.requests import EnrollmentQuery, PageQuery
from api.schemas.responses import EnrollmentOut, EnrollmentsOut, StudentOut, StudentsOut
from services import enrollments
from services.errors import EnrollmentNotFound

admin = Blueprint("admin", url_prefix=f"{API_PREFIX}/admin")


@operation(
    admin,
    "GET",
    "/students",
    access=Access.ADMIN,
    query=PageQuery,
    responses={200: StudentsOut},
    headers=PAGE_HEADERS,
)
async def list_students(request: Request, query: PageQuery) -> HTTPResponse:
    """List the students, by email"""
    found, total = await request.app.ctx.reports.read(
        lambda source: enrollments.students(source, query.page, query.limit)
    )
    headers = page_headers(request.path, query.position(), total)
    content = StudentsOut(students=[StudentOut.of(one) for one in found], total=total)
    return reply(content, headers=headers)


@operation(
    admin,
    "GET",
    "/enrollments",
    access=Access.ADMIN,
    query=EnrollmentQuery,
    responses={200: EnrollmentsOut},
    headers=PAGE_HEADERS,
)
async def list_enrollments(request: Request, query: EnrollmentQuery) -> HTTPResponse:
    """List the enrollments, the latest first"""
    found, total = await request.app.ctx.reports.read(
        lambda source: enrollments.page(
            source,
            query.page,
            query.limit,
            course_id=query.course_id,
            student_email=query.email,
        )
    )
    url_of = request.app.ctx.storage.url
    headers = page_headers(request.path, query.position(), total)
    shown = [EnrollmentOut.of(one, url_of) for one in found]
    return reply(EnrollmentsOut(enrollments=shown, total=total), headers=headers)


@operation(
    admin,
    "DELETE",
    "/enrollments/<enrollment_id>",
    access=Access.ADMIN,
    parameters={"enrollment_id": EnrollmentId},
    responses={204: None},
    errors=(EnrollmentNotFound,),
)
async def delete_enrollment(_request: Request, enrollment_id: UUID) -> HTTPResponse:
    """Delete an enrollment"""
    await enrollments.delete(enrollment_id)
    return empty()
