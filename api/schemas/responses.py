"""The schemas of responses. Optional fields made by `_absent` are omitted instead of null."""

from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, Field

from api.health import Parts
from api.schemas import cursors
from infra.queue.queries import Cursor
from infra.queue.table import TaskRow
from models import Difficulty, Role, TaskState, User
from services.enrollments.listing import StudentSummary
from services.errors import Code


def _absent(**about: Any) -> Any:
    """Return a field that the JSON omits while it is None."""
    return Field(
        default=None,
        exclude_if=lambda value: value is None,
        json_schema_extra=_never_null,
        **about,
    )


def _never_null(schema: dict[str, Any]) -> None:
    kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) == 1:
        schema.update(kinds[0])


class UserOut(BaseModel):
    """An account."""

    id: Annotated[UUID, Field(description="The account's id.")]
    username: Annotated[str, Field(description="Its name.", examples=["admin"])]
    role: Annotated[Role, Field(description="What it may do.", examples=["admin"])]
    created_at: Annotated[datetime, Field(description="When it was made.")]

    @classmethod
    def of(cls, user: User) -> Self:
        """Return the response for an account."""
        return cls(id=user.id, username=user.username, role=user.role, created_at=user.created_at)


class LoginOut(BaseModel):
    """A token to send as `Authorization: Bearer`, one to get the next with, and whose they are."""

    token: Annotated[
        str,
        Field(
            description="To send as `Authorization: Bearer`.",
            examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2ln"],
        ),
    ]
    expires_at: Annotated[datetime, Field(description="Until when the token holds.")]
    refresh_token: Annotated[
        str,
        Field(
            description="For one call of `POST /api/v1/auth/refresh`, which gives the next.",
            examples=["3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"],
        ),
    ]
    user: Annotated[UserOut, Field(description="Whose token it is.")]


class ImageStatus(StrEnum):
    """Where the image of a course stands."""

    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


class VariantOut(BaseModel):
    """One size of an image; pixels and bytes."""

    width: Annotated[int, Field(description="In pixels.", examples=[1280])]
    height: Annotated[int, Field(description="In pixels.", examples=[960])]
    format: Annotated[str, Field(description="Always WebP.", examples=["webp"])]
    bytes: Annotated[int, Field(description="How long the file is.", examples=[84210])]
    url: Annotated[
        str,
        Field(
            description="Where the file is.",
            examples=["https://images.example.org/courses/1/2/1280.webp"],
        ),
    ]


class ImageOut(BaseModel):
    """The uploaded image of a course."""

    status: Annotated[
        ImageStatus, Field(description="Whether it can be shown.", examples=["ready"])
    ]
    task_id: UUID | None = _absent(description="The task at work; while processing.")
    variants: list[VariantOut] | None = _absent(description="Widest first; when ready.")
    error: str | None = _absent(description="Why there is none; when failed.")


class CourseOut(BaseModel):
    """A course."""

    id: Annotated[UUID, Field(description="The course's id.")]
    title: Annotated[
        str, Field(description="What it is called.", examples=["Advanced React Development"])
    ]
    description: Annotated[
        str,
        Field(
            description="What it teaches.", examples=["Master React hooks, context and performance"]
        ),
    ]
    difficulty: Annotated[Difficulty, Field(description="Whom it is for.", examples=["Advanced"])]
    image_url: str | None = _absent(
        description="The largest variant, or the address given.",
        examples=["https://images.example.org/courses/1/2/1280.webp"],
    )
    image: ImageOut | None = _absent(description="The uploaded image, if there is one.")
    created_at: Annotated[datetime, Field(description="When it was made.")]
    updated_at: Annotated[datetime, Field(description="When it was changed last.")]


class PaginationOut(BaseModel):
    """Where a page stands among the others."""

    current_page: Annotated[int, Field(description="From 1.", examples=[1])]
    total_pages: Annotated[int, Field(description="How many pages there are.", examples=[3])]
    total_count: Annotated[
        int, Field(description="How many courses are on all pages.", examples=[25])
    ]
    has_next: Annotated[bool, Field(description="Whether there is a page behind this one.")]
    has_prev: Annotated[bool, Field(description="Whether there is a page before this one.")]
    limit: Annotated[int, Field(description="How many courses are on a full page.", examples=[10])]


class CoursePageOut(BaseModel):
    """One page of courses."""

    data: Annotated[list[CourseOut], Field(description="The courses of this page.")]
    pagination: Annotated[PaginationOut, Field(description="Where this page stands.")]


class StudentEnrollmentOut(BaseModel):
    """A student's place in a course."""

    id: Annotated[UUID, Field(description="The enrollment's id.")]
    student_email: Annotated[
        str, Field(description="Whose place it is.", examples=["student@example.com"])
    ]
    course_id: Annotated[UUID, Field(description="The course's id.")]
    enrolled_at: Annotated[datetime, Field(description="Since when.")]
    course: Annotated[CourseOut, Field(description="The course.")]


class StudentEnrollmentsOut(BaseModel):
    """All places of a student."""

    student_email: Annotated[
        str, Field(description="Whose places they are.", examples=["student@example.com"])
    ]
    enrollments: Annotated[list[StudentEnrollmentOut], Field(description="The latest first.")]
    total: Annotated[int, Field(description="How many there are.", examples=[1])]


class CourseStudentsOut(BaseModel):
    """The emails of a course's students."""

    students: Annotated[
        list[str], Field(description="Their emails.", examples=[["student@example.com"]])
    ]
    total: Annotated[int, Field(description="How many there are.", examples=[1])]


class StudentOut(BaseModel):
    """A student, as an admin sees one."""

    email: Annotated[
        str, Field(description="The student's email.", examples=["student@example.com"])
    ]
    enrollment_count: Annotated[int, Field(description="In how many courses.", examples=[2])]
    last_enrolled_at: Annotated[datetime, Field(description="When the student last enrolled.")]

    @classmethod
    def of(cls, student: StudentSummary) -> Self:
        """Return the response for a student's summary."""
        return cls(
            email=student.email,
            enrollment_count=student.enrollment_count,
            last_enrolled_at=student.last_enrolled_at,
        )


class StudentsOut(BaseModel):
    """One page of students, and how many there are."""

    students: Annotated[list[StudentOut], Field(description="Those of this page, by email.")]
    total: Annotated[int, Field(description="How many there are on all pages.", examples=[1])]


class EnrollmentOut(BaseModel):
    """An enrollment, as an admin sees one."""

    id: Annotated[UUID, Field(description="The enrollment's id.")]
    student_email: Annotated[
        str, Field(description="Whose place it is.", examples=["student@example.com"])
    ]
    course: Annotated[CourseOut, Field(description="The course.")]
    enrolled_at: Annotated[datetime, Field(description="Since when.")]


class EnrollmentsOut(BaseModel):
    """One page of enrollments, and how many there are."""

    enrollments: Annotated[
        list[EnrollmentOut], Field(description="Those of this page, the latest first.")
    ]
    total: Annotated[int, Field(description="How many there are on all pages.", examples=[1])]


class TaskOut(BaseModel):
    """A piece of slow work; arguments and traceback are for admins only."""

    id: Annotated[UUID, Field(description="The task's id.")]
    name: Annotated[str, Field(description="What kind of work it is.", examples=["images.process"])]
    status: Annotated[
        TaskState,
        Field(description="Where it stands; the last three are final.", examples=["succeeded"]),
    ]
    progress: Annotated[int, Field(ge=0, le=100, description="Percent.", examples=[100])]
    attempts: Annotated[int, Field(description="How often it was started.", examples=[1])]
    created_at: Annotated[datetime, Field(description="When it was asked for.")]
    started_at: Annotated[
        datetime | None, Field(description="When it was first started; null before.")
    ]
    finished_at: Annotated[datetime | None, Field(description="When it ended; null before.")]
    error: Annotated[str | None, Field(description="Why it failed, or null.")]
    args: dict[str, Any] | None = _absent(description="Admins only.")
    traceback: str | None = _absent(description="Admins only.")

    @classmethod
    def of(cls, task: TaskRow, *, whole: bool) -> Self:
        """Return the response for a task; with `whole`, arguments and traceback for admins too."""
        return cls(
            id=task.id,
            name=task.name,
            status=TaskState(task.state),
            progress=task.progress,
            attempts=task.attempts,
            created_at=task.created_at,
            started_at=task.started_at,
            finished_at=task.finished_at,
            error=task.error,
            args=task.args if whole else None,
            traceback=task.traceback if whole else None,
        )


class TasksOut(BaseModel):
    """One page of tasks, the newest first."""

    tasks: Annotated[list[TaskOut], Field(description="The tasks of this page.")]
    next_cursor: str | None = _absent(description="Asks for the next page; absent on the last.")

    @classmethod
    def of(cls, tasks: list[TaskRow], limit: int) -> Self:
        """Return the page; only a full page has a cursor of the next one."""
        last = tasks[-1] if len(tasks) == limit else None
        return cls(
            tasks=[TaskOut.of(task, whole=True) for task in tasks],
            next_cursor=cursors.encode(Cursor(last.created_at, last.id)) if last else None,
        )


class Connection(StrEnum):
    """Whether a part answers."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"


class Health(StrEnum):
    """Whether all is well, the service answers with parts missing, or it can't."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


class HealthOut(BaseModel):
    """The parts of the service."""

    status: Annotated[
        Health, Field(description="Degraded: it answers, with parts missing.", examples=["healthy"])
    ]
    service: Annotated[
        str, Field(description="This service.", examples=["course-enrollment-service"])
    ]
    database: Annotated[Connection, Field(description="PostgreSQL.", examples=["connected"])]
    redis: Annotated[Connection, Field(description="The cache.", examples=["connected"])]
    storage: Annotated[
        Connection, Field(description="Where the images are.", examples=["connected"])
    ]
    tasks: Annotated[
        Connection,
        Field(description="Whether slow work is carried to the workers.", examples=["connected"]),
    ]
    version: Annotated[str, Field(description="The release.", examples=["1.0.0"])]

    @classmethod
    def of(cls, parts: Parts, *, service: str, version: str) -> Self:
        """Return the health: unhealthy without the database, degraded without another part."""
        shown = {
            name: Connection.CONNECTED if is_connected else Connection.DISCONNECTED
            for name, is_connected in asdict(parts).items()
        }
        degraded = Health.DEGRADED if parts.database else Health.UNHEALTHY
        status = degraded if Connection.DISCONNECTED in shown.values() else Health.HEALTHY
        return cls(status=status, service=service, version=version, **shown)


class LiveOut(BaseModel):
    """The process answers."""

    status: Annotated[str, Field(description="Always the same.", examples=["live"])] = "live"


class ReadyOut(BaseModel):
    """The process can do its work."""

    status: Annotated[str, Field(description="Always the same.", examples=["ready"])] = "ready"


class FaultOut(BaseModel):
    """One thing wrong with one field."""

    field: Annotated[str, Field(description="Which field.", examples=["title"])]
    code: Annotated[Code, Field(description="The reason, for programs.", examples=["REQUIRED"])]
    message: Annotated[
        str, Field(description="The reason, for people.", examples=["Title is required"])
    ]


class ErrorDetailsOut(BaseModel):
    """What a program can act on."""

    code: Annotated[Code, Field(description="The reason, for programs.", examples=["REQUIRED"])]
    field: str | None = _absent(
        description="The first field at fault, if one is.", examples=["title"]
    )
    errors: list[FaultOut] | None = _absent(description="All faults, when there are several.")


class ErrorOut(BaseModel):
    """The one shape of every error."""

    error: Annotated[
        str, Field(description="What kind of error, in short.", examples=["Validation failed"])
    ]
    message: Annotated[
        str, Field(description="What is wrong, for people.", examples=["Title is required"])
    ]
    details: Annotated[ErrorDetailsOut, Field(description="What is wrong, for programs.")]
