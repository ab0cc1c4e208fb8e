"""Enrolling."""

from sanic import Blueprint, HTTPResponse, Request
from sanic.response import raw

from api import security
from api.operation import API_PREFIX, Access, operation
from api.replies import JSON, reply
from api.schemas.fields import Email, IdempotencyKey
from api.schemas.requests import EnrollmentIn
from api.schemas.responses import StudentEnrollmentOut, StudentEnrollmentsOut
from api.security import Identity
from models import Role
from services import enrollments as places
from services import idempotency
from services.errors import AlreadyEnrolled, UnknownCourse
from services.idempotency import Answer, Keyed, KeyReused
from services.turns import Crowded

enrollments = Blueprint("enrollments", url_prefix=API_PREFIX)


@operation(
    enrollments,
    "POST",
    "/enrollments",
    access=Access.STUDENT,
    body=EnrollmentIn,
    takes={"Idempotency-Key": IdempotencyKey},
    responses={201: StudentEnrollmentOut},
    errors=(AlreadyEnrolled, UnknownCourse, KeyReused, Crowded),
    headers={"Idempotency-Replayed": "`true` on the answer of an earlier request with this key."},
)
async def create_enrollment(
    request: Request, body: EnrollmentIn, idempotency_key: str | None
) -> HTTPResponse:
    """Enrol a student in a course

    Anybody may, unless the service is set to ask for a token: then a student may enrol
    themselves, and an admin anybody.
    """
    caller = security.admit(request, body.student_email)
    async with request.app.ctx.turns.of(body.course_id):
        if idempotency_key is None:
            return reply(await _enroll(request, body), 201)
        return await _enroll_once(request, body, idempotency_key, caller)


async def _enroll_once(
    request: Request, body: EnrollmentIn, key: str, caller: Identity | None
) -> HTTPResponse:

    async def act() -> Answer:
        shown = await _enroll(request, body)
        return Answer(201, {"Content-Type": JSON}, shown.model_dump_json().encode())

    caller = caller or await security.identify(request)
    keyed = Keyed(
        operation="enrollments",
        caller=str(caller.user_id) if caller else "anyone",
        key=key,
        content=body.model_dump_json().encode(),
    )
    answer, is_replayed = await idempotency.once(keyed, act)
    replayed = {"Idempotency-Replayed": "true"} if is_replayed else {}
    return raw(answer.body, answer.status, answer.headers | replayed)


async def _enroll(request: Request, body: EnrollmentIn) -> StudentEnrollmentOut:
    identity: Identity | None = request.ctx.identity
    by_admin = identity is not None and identity.role is Role.ADMIN
    enroll = places.enroll_for if by_admin else places.enroll
    enrollment = await enroll(body.student_email, body.course_id)
    return StudentEnrollmentOut.of(enrollment, request.app.ctx.storage.url)


@operation(
    enrollments,
    "GET",
    "/students/<email>/enrollments",
    access=Access.STUDENT,
    parameters={"email": Email},
    responses={200: StudentEnrollmentsOut},
)
async def list_student_enrollments(request: Request, email: str) -> HTTPResponse:
    """List a student's courses, the latest first

    Anybody may, unless the service is set to ask for a token: then a student sees their own, and
    an admin anybody's.
    """
    security.admit(request, email)
    url_of = request.app.ctx.storage.url
    found = [
        StudentEnrollmentOut.of(enrollment, url_of) for enrollment in await places.of_student(email)
    ]
    return reply(StudentEnrollmentsOut(student_email=email, enrollments=found, total=len(found)))
