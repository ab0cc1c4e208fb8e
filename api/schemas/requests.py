"""The schemas of requests."""

from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from api.endpoint.replies import MAX_LIMIT
from api.schemas import cursors
from api.schemas.cursors import CursorField
from api.schemas.fields import (
    CourseId,
    Description,
    DifficultyField,
    Email,
    FileName,
    ImageUrl,
    Name,
    NameOfTask,
    Search,
    StudentEmail,
    Title,
    difficulty,
)
from infra.cache import Page
from infra.queue.queries import OLDEST, TaskPage
from models import Difficulty, TaskState
from services.catalogue.courses import CourseChanges, CourseFields
from services.catalogue.queries import Filters, Sort
from services.enrollments.listing import EnrollmentFilters
from services.fields import described

MAX_PAGE = 1_000_000


class Body(BaseModel):
    """A JSON body or a form: unknown fields are refused, text is trimmed."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Exact(Body):
    """A body whose texts are taken as they are sent: blanks count."""

    model_config = ConfigDict(str_strip_whitespace=False)


class LoginIn(Exact):
    """Name and password of an account."""

    username: Name
    password: Annotated[
        str,
        described(
            "The account's password; blanks count.", "admin!dev", min_length=1, max_length=1024
        ),
    ]


class RefreshIn(Exact):
    """The refresh token of the last login or refresh."""

    refresh_token: Annotated[
        str,
        described(
            "It is spent by this call; blanks count.",
            "3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            min_length=1,
            max_length=512,
        ),
    ]


class CourseForm(Body):
    """A course as an admin describes it."""

    title: Title
    description: Description
    difficulty: DifficultyField

    def fields(self) -> CourseFields:
        """Return the fields for the service."""
        return CourseFields(**self.model_dump(exclude={"image"}))


ReadOnly = Annotated[Any, described("Ignored.", json_schema_extra={"readOnly": True})]


class CourseIn(CourseForm):
    """A course as an admin describes it, perhaps with an image that is elsewhere."""

    image_url: ImageUrl = None


_CHANGEABLE = set(CourseIn.model_fields)


class _Read(CourseIn):
    """What a client has read of a course and sends back: what it can't change is ignored."""

    id: ReadOnly = None
    image: ReadOnly = None
    created_at: ReadOnly = None
    updated_at: ReadOnly = None


class CourseReplacement(_Read):
    """A course as an admin describes it; the read-only fields of one that was read are ignored."""

    def changes(self) -> CourseChanges:
        """Return the changes for the service."""
        return CourseChanges(self.model_dump(include=_CHANGEABLE))


class CoursePatch(_Read):
    """A JSON merge patch of a course: what is left out stays, null removes."""

    # Defaults make the fields optional; unset fields are excluded, so no default is used.
    title: Title = ""
    description: Description = ""
    difficulty: DifficultyField = Difficulty.BEGINNER

    def changes(self) -> CourseChanges:
        """Return the changes for the service."""
        fields = self.model_dump(include=_CHANGEABLE, exclude_unset=True)
        removes_image = "image_url" in fields and fields["image_url"] is None
        return CourseChanges(fields, removes_image=removes_image)


class FilePart(BaseModel):
    """A file of a form."""

    name: FileName
    data: bytes

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _core: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the schema of the bytes of a part, the form in which clients send files."""
        return {"type": "string", "format": "binary", "description": "The bytes of a file."}


class CourseUploadForm(CourseForm):
    """A course, perhaps with its image: JPEG, PNG, GIF or WebP of at most 5 MB."""

    image: Annotated[FilePart | None, described("The picture, by its content.")] = None


class ImageForm(Body):
    """An image for a course: JPEG, PNG, GIF or WebP of at most 5 MB."""

    image: Annotated[FilePart, described("The picture, by its content.")]


class EnrollmentIn(Body):
    """A student and the course to enrol in."""

    student_email: StudentEmail
    course_id: CourseId


def _blank_is_missing(value: Any) -> Any:
    return None if value == "" else value


def _digits(value: Any) -> Any:
    # Pydantic, like Python, parses 1_000 as a number.
    return value.replace("_", " _") if isinstance(value, str) else value


def _at_most_limit(value: Any) -> Any:
    text = str(value)
    is_number = text.isascii() and text.isdecimal()
    return MAX_LIMIT if is_number and int(text[:9]) > MAX_LIMIT else _digits(value)


def _comma_list(value: Any) -> Any:
    if isinstance(value, str):
        return frozenset(difficulty(part.strip()) for part in value.split(",") if part.strip())
    return value


Limit = Annotated[
    int,
    described("How many; 10 when left out, never above 100.", 10, ge=1),
    BeforeValidator(_at_most_limit),
]


class PageQuery(BaseModel):
    """Which page, and how long; a limit over 100 acts as 100."""

    model_config = ConfigDict(frozen=True)

    page: Annotated[
        int,
        described("Which page; 1 when left out.", 1, ge=1, le=MAX_PAGE),
        BeforeValidator(_digits),
    ] = 1
    limit: Limit = 10

    def position(self) -> Page:
        """Return the requested page, with the query's other parameters."""
        others = self.model_dump(mode="json", exclude={"page", "limit"}, exclude_none=True)
        return Page(self.page, self.limit, urlencode(others))


class CourseQuery(PageQuery):
    """A listing of courses."""

    search: Search | None = None
    difficulty: Annotated[
        frozenset[Difficulty],
        BeforeValidator(_comma_list),
        described("Only courses of one of these.", "Beginner,Advanced"),
    ] = frozenset()
    sort: Annotated[Sort, described("The order; newest when left out.")] = Sort.NEWEST

    def filters(self) -> Filters:
        """Return the filters for the service."""
        return Filters(
            search=(self.search or "").strip() or None,
            difficulties=self.difficulty,
            sort=self.sort,
        )


class EnrollmentQuery(PageQuery):
    """A listing of enrollments."""

    course_id: Annotated[
        CourseId | None, BeforeValidator(_blank_is_missing), described("Only those in this course.")
    ] = None
    email: Annotated[
        Email | None, BeforeValidator(_blank_is_missing), described("Only those of this student.")
    ] = None

    def filters(self) -> EnrollmentFilters:
        """Return the filters of the listing."""
        return EnrollmentFilters(course_id=self.course_id, student_email=self.email)


class CursorQuery(BaseModel):
    """A page of tasks at a cursor."""

    model_config = ConfigDict(frozen=True)

    def links(self, page: TaskPage) -> dict[str, str]:
        """Return the queries of the adjacent pages by their relation to this one."""
        given = self.model_dump(mode="json", exclude={"cursor"}, exclude_none=True)
        at = {"first": None, "prev": page.newer, "next": page.older, "last": OLDEST}
        return {
            relation: urlencode(given | ({"cursor": cursors.encode(cursor)} if cursor else {}))
            for relation, cursor in at.items()
            if cursor or relation == "first"
        }


class TaskQuery(CursorQuery):
    """A listing of tasks."""

    status: Annotated[TaskState | None, described("Only tasks of this status.")] = None
    name: NameOfTask | None = None
    limit: Limit = 10
    cursor: CursorField | None = None


class WorkflowQuery(CursorQuery):
    """A page of the tasks of a workflow."""

    limit: Limit = 10
    cursor: CursorField | None = None
