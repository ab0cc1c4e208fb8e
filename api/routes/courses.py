"""The catalogue's endpoints."""

from uuid import UUID

from sanic import Blueprint, HTTPResponse, Request
from sanic.response import empty

from api.endpoint import binding
from api.endpoint.cached import TAGGED, UNCHANGED, VALIDATORS, condition_of, send, send_written
from api.endpoint.operation import API_PREFIX, Access, operation
from api.endpoint.replies import JSON, PAGE_HEADERS, page_headers, reply
from api.schemas.fields import CourseId, Email
from api.schemas.requests import (
    CourseIn,
    CoursePatch,
    CourseQuery,
    CourseReplacement,
    CourseUploadForm,
    FilePart,
    ImageForm,
    PageQuery,
)
from api.schemas.responses import (
    CourseOut,
    CoursePageOut,
    CourseStudentsOut,
)
from services.catalogue import courses as catalogue
from services.catalogue import read
from services.catalogue.courses import CourseChanges
from services.catalogue.queries import Snapshot
from services.catalogue.render import UrlOf
from services.catalogue.search_slots import SearchesBusy, SearchesOff
from services.enrollments import listing, write
from services.errors import CourseChanged, CourseNotFound, EnrollmentNotFound
from services.images import pipeline
from services.images.headers import FileTooLarge, ImageTooLarge, TooManyFrames, UnsupportedImage

PATH = f"{API_PREFIX}/courses"

courses = Blueprint("courses", url_prefix=PATH)

MERGE_PATCH = "application/merge-patch+json"
_CREATED = {"Location": "The course's address.", **TAGGED}
_CONDITION = {"If-Match": "Only if this tag is the course's; otherwise 412, and nothing changes."}
_ID = {"course_id": "$response.body#/id"}
_OF_COURSE = {
    "get_course": _ID,
    "update_course": _ID,
    "patch_course": _ID,
    "delete_course": _ID,
    "replace_course_image": _ID,
    "delete_course_image": _ID,
    "list_course_students": _ID,
}
_TASK_ID = {"task_id": "$response.body#/image/task_id"}
_OF_IMAGE = {"get_task": _TASK_ID, "watch_task": _TASK_ID}
_IMAGE_ERRORS = (FileTooLarge, UnsupportedImage, ImageTooLarge, TooManyFrames)


@operation(
    courses,
    "GET",
    responses={200: CoursePageOut | list[CourseOut], 304: None},
    errors=(SearchesBusy, SearchesOff),
    takes=UNCHANGED,
    headers=PAGE_HEADERS | VALIDATORS,
)
async def list_courses(request: Request, query: CourseQuery) -> HTTPResponse:
    """List the courses

    Without parameters: a plain array, newest first, at most 1,000. With any: one page.
    """
    context = request.app.ctx
    if not query.model_fields_set and not binding.has_query(request, CourseQuery):
        shown = await read.newest(context.cache, context.storage.url)
        return send(request, shown, read.NEWEST, PATH)
    selection = (query.filters(), query.page, query.limit)
    url_of, flags = context.storage.url, context.flags
    shown = await read.page(context.cache, *selection, url_of, flags=flags)
    return send(request, shown, read.key_of_page(*selection), PATH)


@operation(
    courses,
    "GET /<course_id>",
    responses={200: CourseOut, 304: None},
    errors=(CourseNotFound,),
    takes=UNCHANGED,
    headers=VALIDATORS,
    links=_OF_COURSE,
)
async def get_course(request: Request, course_id: CourseId) -> HTTPResponse:
    """Show a course"""
    context = request.app.ctx
    shown = await read.course(context.cache, course_id, context.storage.url)
    return send(request, shown, read.key_of_course(course_id), f"{PATH}/{course_id}")


@operation(
    courses,
    "POST",
    access=Access.ADMIN,
    responses={201: CourseOut},
    headers=_CREATED,
    links=_OF_COURSE,
)
async def create_course(request: Request, body: CourseIn) -> HTTPResponse:
    """Create a course"""
    context = request.app.ctx
    return _created(await catalogue.create(context.cache, body.fields()), context.storage.url)


@operation(
    courses,
    "POST /upload",
    access=Access.ADMIN,
    responses={201: CourseOut},
    errors=_IMAGE_ERRORS,
    headers=_CREATED,
    links=_OF_COURSE | _OF_IMAGE,
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
    "PUT /<course_id>",
    access=Access.ADMIN,
    responses={200: CourseOut},
    errors=(CourseNotFound, CourseChanged),
    takes=_CONDITION,
    headers=TAGGED,
)
async def update_course(
    request: Request, course_id: CourseId, body: CourseReplacement
) -> HTTPResponse:
    """Replace what is said of a course

    An uploaded image stays, unless another `image_url` is given.
    """
    return await _changed(request, course_id, body.changes())


@operation(
    courses,
    "PATCH /<course_id>",
    access=Access.ADMIN,
    media_types=(MERGE_PATCH, JSON),
    responses={200: CourseOut},
    errors=(CourseNotFound, CourseChanged),
    takes=_CONDITION,
    headers=TAGGED,
)
async def patch_course(request: Request, course_id: CourseId, body: CoursePatch) -> HTTPResponse:
    """Change some of what is said of a course

    A JSON merge patch (RFC 7396): what is left out stays. `"image_url": null` removes the image
    that is shown, an uploaded one too.
    """
    return await _changed(request, course_id, body.changes())


@operation(
    courses,
    "PUT /<course_id>/image",
    access=Access.ADMIN,
    responses={202: CourseOut},
    errors=(CourseNotFound, CourseChanged, *_IMAGE_ERRORS),
    takes=_CONDITION,
    headers=TAGGED,
    links=_OF_COURSE | _OF_IMAGE,
)
async def replace_course_image(
    request: Request, course_id: CourseId, form: ImageForm
) -> HTTPResponse:
    """Give a course another image

    The one shown so far stays until the new one is ready.
    """
    context, image = request.app.ctx, await _checked(request, form.image)
    condition = condition_of(request)
    course = await catalogue.replace_image(context.cache, course_id, image, condition)
    return send_written(course, context.storage.url, 202)


@operation(
    courses,
    "DELETE /<course_id>/image",
    access=Access.ADMIN,
    responses={204: None},
    errors=(CourseNotFound, CourseChanged),
    takes=_CONDITION,
)
async def delete_course_image(request: Request, course_id: CourseId) -> HTTPResponse:
    """Delete a course's image

    The uploaded one, also while it is in processing, or the address given as `image_url`. Without
    an image nothing changes.
    """
    await catalogue.remove_image(request.app.ctx.cache, course_id, condition_of(request))
    return empty()


@operation(
    courses,
    "DELETE /<course_id>",
    access=Access.ADMIN,
    responses={204: None},
    errors=(CourseNotFound, CourseChanged),
    takes=_CONDITION,
)
async def delete_course(request: Request, course_id: CourseId) -> HTTPResponse:
    """Delete a course, its enrollments and its images"""
    await catalogue.delete(request.app.ctx.cache, course_id, condition_of(request))
    return empty()


@operation(
    courses,
    "GET /<course_id>/students",
    access=Access.ADMIN,
    responses={200: CourseStudentsOut},
    errors=(CourseNotFound,),
    headers=PAGE_HEADERS,
)
async def list_course_students(
    request: Request, course_id: CourseId, query: PageQuery
) -> HTTPResponse:
    """List the students of a course

    Without parameters: the latest 1,000. With any: one page.
    """
    page = binding.page(request, query)
    emails, total = await request.app.ctx.replica_router.read(
        lambda source: listing.students_of(source, course_id, page.number, page.limit)
    )
    headers = page_headers(request.path, page, total)
    return reply(CourseStudentsOut(students=emails, total=total), headers=headers)


@operation(
    courses,
    "DELETE /<course_id>/students/<email>",
    access=Access.ADMIN,
    responses={204: None},
    errors=(CourseNotFound, EnrollmentNotFound),
)
async def drop_course_student(_request: Request, course_id: CourseId, email: Email) -> HTTPResponse:
    """Take a student out of a course"""
    await write.drop(course_id, email)
    return empty()


def _created(course: Snapshot, url_of: UrlOf) -> HTTPResponse:
    return send_written(course, url_of, 201, {"Location": f"{courses.url_prefix}/{course.id}"})


async def _changed(request: Request, course_id: UUID, changes: CourseChanges) -> HTTPResponse:
    context = request.app.ctx
    url_of, condition = context.storage.url, condition_of(request)
    course = await catalogue.update(context.cache, course_id, changes, url_of, condition)
    return send_written(course, url_of, 200)


async def _checked(request: Request, image: FilePart) -> bytes:
    settings = request.app.ctx.settings
    if len(image.data) > settings.max_upload_bytes:
        raise FileTooLarge(settings.max_upload_bytes)
    await pipeline.inspect(image.data, settings.max_image_pixels)
    return image.data
