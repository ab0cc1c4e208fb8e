"""Enrolling."""

from urllib.parse import quote

import orjson
from sanic import Blueprint, HTTPResponse, Request
from sanic.response import raw

from api.endpoint import binding
from api.endpoint.operation import API_PREFIX, Access, operation
from api.endpoint.replies import JSON, PAGE_HEADERS, page_headers
from api.schemas.fields import Email, IdempotencyKey
from api.schemas.requests import EnrollmentIn, PageQuery
from api.schemas.responses import StudentEnrollmentOut, StudentEnrollmentsOut
from api.security import tokens
from api.security.tokens import Identity
from infra.cache import Entry
from services.catalogue import read, render
from services.enrollments import enroll as places
from services.enrollments import idempotency
from services.enrollments.enroll import Place
from services.enrollments.idempotency import Answer, Keyed, KeyReused
from services.enrollments.limiter import CourseBusy
from services.errors import AlreadyEnrolled, CourseNotFound, UnknownCourse

enrollments = Blueprint("enrollments", url_prefix=API_PREFIX)


@operation(
    enrollments,
    "POST",
    "/enrollments",
    access=Access.STUDENT,
    body=EnrollmentIn,
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
    context = request.app.ctx
    keyed = None
    if idempotency_key is not None:
        keyed = await _keyed(request, body, idempotency_key, caller)
        # First of all: what is asked again may be of a course that is gone, or crowded by now.
        if kept := await idempotency.kept(keyed):
            return _replayed(kept)
    try:
        # Before any transaction: the cache may have to ask the database by itself.
        course = await read.course(context.cache, body.course_id, context.storage.url)
    except CourseNotFound:
        raise UnknownCourse from None
    if keyed is None and not _is_by_admin(request):
        place = await context.batcher.enroll(body.student_email, body.course_id)
        return _created(body, _shown(body.student_email, place, course))
    async with context.course_limiter.of(body.course_id):
        if keyed is None:
            return _created(body, await _enroll(request, body, course))
        return await _enroll_once(request, body, course, keyed)


async def _keyed(request: Request, body: EnrollmentIn, key: str, caller: Identity | None) -> Keyed:
    caller = caller or await tokens.identify(request)
    return Keyed(
        operation="enrollments",
        caller=str(caller.user_id) if caller else "anyone",
        key=key,
        content=body.model_dump_json().encode(),
    )


async def _enroll_once(
    request: Request, body: EnrollmentIn, course: Entry, keyed: Keyed
) -> HTTPResponse:

    async def act() -> Answer:
        headers = {"Content-Type": JSON, "Location": _location(body)}
        return Answer(201, headers, await _enroll(request, body, course))

    answer, is_replayed = await idempotency.once(keyed, act)
    return _replayed(answer) if is_replayed else raw(answer.body, answer.status, answer.headers)


def _created(body: EnrollmentIn, content: bytes) -> HTTPResponse:
    return raw(content, 201, {"Location": _location(body)}, JSON)


def _location(body: EnrollmentIn) -> str:
    return f"{API_PREFIX}/students/{quote(body.student_email, safe='@')}/enrollments"


def _replayed(answer: Answer) -> HTTPResponse:
    return raw(answer.body, answer.status, answer.headers | {"Idempotency-Replayed": "true"})


async def _enroll(request: Request, body: EnrollmentIn, course: Entry) -> bytes:
    """Give the place, and return the JSON of StudentEnrollmentOut."""
    enroll = places.enroll_for if _is_by_admin(request) else places.enroll
    place = await enroll(body.student_email, body.course_id)
    return _shown(body.student_email, place, course)


def _is_by_admin(request: Request) -> bool:
    identity: Identity | None = request.ctx.identity
    return identity is not None and identity.is_admin


def _shown(student_email: str, place: Place, course: Entry) -> bytes:
    """Return the JSON of StudentEnrollmentOut; that of the course is ready."""
    # Texts: asyncpg's UUIDs are no UUIDs to orjson.
    shown = {
        "id": str(place.id),
        "student_email": student_email,
        "course_id": str(place.course_id),
        "enrolled_at": place.enrolled_at,
    }
    return render.with_course(shown, course.body)


@operation(
    enrollments,
    "GET",
    "/students/<email>/enrollments",
    access=Access.STUDENT,
    parameters={"email": Email},
    query=PageQuery,
    responses={200: StudentEnrollmentsOut},
    headers=PAGE_HEADERS,
)
async def list_student_enrollments(request: Request, email: str, query: PageQuery) -> HTTPResponse:
    """List a student's courses, the latest first

    Without parameters: at most 1,000. With any: one page. Anybody may, unless the service is set to
    ask for a token: then a student sees their own, and an admin anybody's.
    """
    tokens.admit(request, email)
    context, page = request.app.ctx, binding.page(request, query)
    held, total = await context.replica_router.read(
        lambda source: places.of_student(source, email, page.number, page.limit)
    )
    ids = [place.course_id for place in held]
    known = await read.courses(context.cache, ids, context.storage.url)
    found = [
        _shown(email, place, known[place.course_id])
        for place in held
        # A course that is gone by now took its places along.
        if place.course_id in known
    ]
    whole = b'{"student_email":%s,"enrollments":%s,"total":%d}'
    body = whole % (orjson.dumps(email), render.array(found), total)
    return raw(body, 200, page_headers(request.path, page, total), JSON)
