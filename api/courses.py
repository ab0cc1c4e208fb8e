"""The catalogue."""

from uuid import UUID

from sanic import Blueprint, HTTPResponse, Request
from sanic.response import empty

from api import binding
from api.cached import VALIDATORS, send
from api.operation import API_PREFIX, Access, operation
from api.replies import PAGE_HEADERS, reply
from api.schemas.fields import CourseId, Email
from api.schemas.requests import CourseIn, CourseQuery, CourseUploadForm, FilePart, ImageForm
from api.schemas.responses import (
    CourseOut,
    CoursePageOut,
    CourseStudentsOut,
    UrlOf,
)
from models import Course
from services import answers, enrollments, images
from services import courses as catalogue
from services.errors import CourseNotFound, EnrollmentNotFound, TooLarge
from services.image_headers import ImageTooLarge, TooManyFrames, UnsupportedImage

courses = Blueprint("courses", url_prefix=f"{API_PREFIX}/courses")

_IMAGE_ERRORS = (UnsupportedImage, ImageTooLarge, TooManyFrames)


@operation(
    courses,
    "GET",
    "",
    query=CourseQuery,
    responses={200: CoursePageOut | list[CourseOut]},
    headers=PAGE_HEADERS | VALIDATORS,
)
async def list_courses(request: Request, query: CourseQuery) -> HTTPResponse:
    """List the courses

    Without parameters: a plain array, newest first, at most 1,000. With any: one page.
    """
    context = request.app.ctx
    if not query.model_fields_set and not binding.has_query(request, CourseQuery):
        shown = await answers.newest(context.cache, context.storage.url)
        return send(request, shown, answers.NEWEST)
    asked = (query.filters(), query.page, query.limit)
    shown = await answers.page(context.cache, *asked, context.storage.url)
    return send(request, shown, answers.key_of_page(*asked))


@operation(
    courses,
    "GET",
    "/<course_id>",
    parameters={"course_id": CourseId},
    responses={200: CourseOut},
    errors=(CourseNotFound,),
    headers=VALIDATORS,
)
async def get_course(request: Request, course_id: UUID) -> HTTPResponse:
    """Show a course"""
    context = request.app.ctx
    shown = await answers.course(context.cache, course_id, context.storage.url)
    return send(request, shown, answers.key_of_course(course_id))


@operation(
    courses,
    "POST",
    "",
    access=Access.ADMIN,
    body=CourseIn,
    responses={201: CourseOut},
    headers={"Location": "The course's address."},
)
async def create_course(request: Request, body: CourseIn) -> HTTPResponse:
    """Create a course"""
    context = request.app.ctx
    return _created(await catalogue.create(context.cache, body.fields()), context.storage.url)


@operation(
    courses,
    "POST",
    "/upload",
    access=Access.ADMIN,
    form=CourseUploadForm,
    responses={201: CourseOut},
    errors=_IMAGE_ERRORS,
    headers={"Location": "The course's address."},
)
async def upload_course(request: Request, form: CourseUploadForm) -> HTTPResponse:
    """Create a course with an image

    The answer comes at once, with the image in processing; its task's progress is at
    `/tasks/{id}`.
    """
    image = await _checked(request, form.image) if form.image else None
    context = request.app.ctx
    created = await catalogue.create(context.cache, form.fields(), image)
    return _created(created, context.storage.url)


@operation(
    courses,
    "PUT",
    "/<course_id>",
    access=Access.ADMIN,
    parameters={"course_id": CourseId},
    body=CourseIn,
    responses={200: CourseOut},
    errors=(CourseNotFound,),
)
async def update_course(request: Request, course_id: UUID, body: CourseIn) -> HTTPResponse:
    """Replace what is said of a course

    An uploaded image stays, unless another `image_url` is given.
    """
    url_of = request.app.ctx.storage.url
    course = await catalogue.update(request.app.ctx.cache, course_id, body.fields(), url_of)
    return reply(CourseOut.of(course, url_of))


@operation(
    courses,
    "PUT",
    "/<course_id>/image",
    access=Access.ADMIN,
    parameters={"course_id": CourseId},
    form=ImageForm,
    responses={202: CourseOut},
    errors=(CourseNotFound, *_IMAGE_ERRORS),
)
async def replace_course_image(request: Request, course_id: UUID, form: ImageForm) -> HTTPResponse:
    """Give a course another image

    The one shown so far stays until the new one is ready.
    """
    context, image = request.app.ctx, await _checked(request, form.image)
    course = await catalogue.replace_image(context.cache, course_id, image)
    return reply(CourseOut.of(course, context.storage.url), 202)


@operation(
    courses,
    "DELETE",
    "/<course_id>",
    access=Access.ADMIN,
    parameters={"course_id": CourseId},
    responses={204: None},
    errors=(CourseNotFound,),
)
async def delete_course(request: Request, course_id: UUID) -> HTTPResponse:
    """Delete a course, its enrollments and its images"""
    await catalogue.delete(request.app.ctx.cache, course_id)
    return empty()


@operation(
    courses,
    "GET",
    "/<course_id>/students",
    access=Access.ADMIN,
    parameters={"course_id": CourseId},
    responses={200: CourseStudentsOut},
    errors=(CourseNotFound,),
)
async def list_course_students(request: Request, course_id: UUID) -> HTTPResponse:
    """List the students of a course"""
    emails = await request.app.ctx.reports.read(
        lambda source: enrollments.students_of(source, course_id)
    )
    return reply(CourseStudentsOut(students=emails, total=len(emails)))


@operation(
    courses,
    "DELETE",
    "/<course_id>/students/<email>",
    access=Access.ADMIN,
    parameters={"course_id": CourseId, "email": Email},
    responses={204: None},
    errors=(CourseNotFound, EnrollmentNotFound),
)
async def drop_course_student(_request: Request, course_id: UUID, email: str) -> HTTPResponse:
    """Take a student out of a course"""
    await enrollments.drop(course_id, email)
    return empty()


def _created(course: Course, url_of: UrlOf) -> HTTPResponse:
    location = f"{courses.url_prefix}/{course.id}"
    return reply(CourseOut.of(course, url_of), 201, {"Location": location})


async def _checked(request: Request, image: FilePart) -> bytes:
    settings = request.app.ctx.settings
    if len(image.data) > settings.max_upload_bytes:
        raise TooLarge(f"An image may have at most {settings.max_upload_bytes} bytes")
    await images.inspect(image.data, settings.max_image_pixels)
    return image.data
