"""Enrolling."""

from sanic import Blueprint, HTTPResponse, Request

from api.operation import API_PREFIX, operation
from api.replies import reply
from api.schemas.fields import Email
from api.schemas.requests import EnrollmentIn
from api.schemas.responses import StudentEnrollmentOut, StudentEnrollmentsOut
from services import enrollments as places
from services.errors import AlreadyEnrolled, UnknownCourse
from services.turns import Crowded

enrollments = Blueprint("enrollments", url_prefix=API_PREFIX)


@operation(
    enrollments,
    "POST",
    "/enrollments",
    body=EnrollmentIn,
    responses={201: StudentEnrollmentOut},
    errors=(AlreadyEnrolled, UnknownCourse, Crowded),
)
async def create_enrollment(request: Request, body: EnrollmentIn) -> HTTPResponse:
    """Enrol a student in a course"""
    async with request.app.ctx.turns.of(body.course_id):
        enrollment = await places.enroll(body.student_email, body.course_id)
    return reply(StudentEnrollmentOut.of(enrollment, request.app.ctx.storage.url), 201)


@operation(
    enrollments,
    "GET",
    "/students/<email>/enrollments",
    parameters={"email": Email},
    responses={200: StudentEnrollmentsOut},
)
async def list_student_enrollments(request: Request, email: str) -> HTTPResponse:
    """List a student's courses, the latest first"""
    url_of = request.app.ctx.storage.url
    found = [
        StudentEnrollmentOut.of(enrollment, url_of) for enrollment in await places.of_student(email)
    ]
    return reply(StudentEnrollmentsOut(student_email=email, enrollments=found, total=len(found)))
