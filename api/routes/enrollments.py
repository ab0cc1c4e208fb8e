"""The enrolment endpoints."""

from functools import partial
from urllib.parse import quote

import orjson
from sanic import Blueprint, HTTPResponse, Request
from sanic.response import raw

from api.endpoint import binding
from api.endpoint.operation import API_PREFIX, Access, operation
from api.endpoint.replies import JSON, PAGE_HEADERS, page_headers, reply_json
from api.schemas.fields import Email, IdempotencyKey
from api.schemas.requests import EnrollmentIn, PageQuery
from api.schemas.responses import StudentEnrollmentOut, StudentEnrollmentsOut
from api.security import tokens
from api.security.tokens import Identity
from services.catalogue import render
from services.enrollments import listing
from services.enrollments.enroll import Enroller, EnrollmentRequest
from services.enrollments.idempotency import KeyedRequest, KeyReused, StoredResponse
from services.enrollments.limiter import CourseBusy
from services.errors import AlreadyEnrolled, UnknownCourse

enrollments = Blueprint("enrollments", url_prefix=API_PREFIX)


@operation(
    enrollments,
    "POST /enrollments",
    access=Access.STUDENT,
    takes={"Idempotency-Key": IdempotencyKey},
    responses={201: StudentEnrollmentOut},
    errors=(AlreadyEnrolled, UnknownCourse, KeyReused, CourseBusy),
    headers={
        "Location": "The student's enrollments, of which this is one.",
        "Idempotency-Replayed": "`true` on the answer of an earlier request with this key.",
    },
    links={
        "get_course": {"course_id": "$response.body#/course_id"},
        "list_student_enrollments": {"email": "$response.body#/student_email"},
        "delete_enrollment": {"enrollment_id": "$response.body#/id"},
    },
)
async def create_enrollment(
    request: Request, body: EnrollmentIn, idempotency_key: str | None
) -> HTTPResponse:
    """Enrol a student in a course

    Anybody may, unless the service is set to ask for a token: then a student may enrol
    themselves, and an admin anybody.
    """
    caller = tokens.admit(request, body.student_email)
    by_admin = caller is not None and caller.is_admin
    wanted = EnrollmentRequest(body.student_email, body.course_id, is_by_admin=by_admin)
    location = f"{API_PREFIX}/students/{quote(body.student_email, safe='@')}/enrollments"
    enroller: Enroller = request.app.ctx.enroller
    if idempotency_key is None:
        return reply_json(await enroller.enroll(wanted), 201, {"Location": location})
    keyed = await _keyed(request, body, idempotency_key, caller)
    response, is_repeated = await enroller.enroll_once(wanted, keyed, partial(_stored, location))
    return _sent(response, is_repeated=is_repeated)


async def _keyed(
    request: Request, body: EnrollmentIn, key: str, caller: Identity | None
) -> KeyedRequest:
    caller = caller or await tokens.identify(request)
    return KeyedRequest(
        operation="enrollments",
        caller=str(caller.user_id) if caller else "anyone",
        key=key,
        content=body.model_dump_json().encode(),
    )


def _stored(location: str, content: bytes) -> StoredResponse:
    return StoredResponse(201, {"Content-Type": JSON, "Location": location}, content)


def _sent(response: StoredResponse, *, is_repeated: bool) -> HTTPResponse:
    replayed = {"Idempotency-Replayed": "true"} if is_repeated else {}
    return raw(response.body, response.status, response.headers | replayed)


@operation(
    enrollments,
    "GET /students/<email>/enrollments",
    access=Access.STUDENT,
    responses={200: StudentEnrollmentsOut},
    headers=PAGE_HEADERS,
)
async def list_student_enrollments(
    request: Request, email: Email, query: PageQuery
) -> HTTPResponse:
    """List a student's courses, the latest first

    Without parameters: at most 1,000. With any: one page. Anybody may, unless the service is set to
    ask for a token: then a student sees their own, and an admin anybody's.
    """
    tokens.admit(request, email)
    context, page = request.app.ctx, binding.page(request, query)
    shown, total = await listing.of_student_rendered(
        context.replica_router, context.cache, context.storage.url, email, page
    )
    content = b'{"student_email":%s,"enrollments":%s,"total":%d}'
    body = content % (orjson.dumps(email), render.array(shown), total)
    return reply_json(body, headers=page_headers(request.path, page, total))
