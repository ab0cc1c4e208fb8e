"""The schemas of responses. Optional fields made by `_absent` are omitted instead of null."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel

from api.health import Parts
from api.schemas import cursors
from infra.queue.queries import Cursor
from infra.queue.table import TaskRow
from infra.queue.workflows import WorkflowSummary
from models import Difficulty, Role, TaskState
from services.errors import Code
from services.fields import described


def _absent(description: str, example: Any = None) -> Any:
    """Return a field that the JSON omits while it is None."""
    about: dict[str, Any] = {"default": None, "json_schema_extra": _never_null}
    return described(description, example, exclude_if=lambda value: value is None, **about)


def _never_null(schema: dict[str, Any]) -> None:
    kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) == 1:
        schema.update(kinds[0])


class UserOut(BaseModel):
    """An account."""

    id: UUID = described("The account's id.")
    username: str = described("Its name.", "admin")
    role: Role = described("What it may do.", "admin")
    created_at: datetime = described("When it was made.")


class LoginOut(BaseModel):
    """A token to send as `Authorization: Bearer`, one to get the next with, and whose they are."""

    token: str = described(
        "To send as `Authorization: Bearer`.", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2ln"
    )
    expires_at: datetime = described("Until when the token holds.")
    refresh_token: str = described(
        "For one call of `POST /api/v1/auth/refresh`, which gives the next.",
        "3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    )
    user: UserOut = described("Whose token it is.")


class ImageStatus(StrEnum):
    """Where the image of a course stands."""

    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


class VariantOut(BaseModel):
    """One size of an image; pixels and bytes."""

    width: int = described("In pixels.", 1280)
    height: int = described("In pixels.", 960)
    format: str = described("Always WebP; `sources` has others.", "webp")
    bytes: int = described("How long the file is.", 84210)
    url: str = described("Where the file is.", "https://images.example.org/courses/1/2/1280.webp")


class SourceOut(BaseModel):
    """The variants of one format, as the attributes of a `<source>` in a `<picture>`."""

    type: str = described("The media type.", "image/avif")
    srcset: str = described(
        "Each variant's address and width.", "https://images.example.org/courses/1/2/640.avif 640w"
    )


class ImageOut(BaseModel):
    """The uploaded image of a course."""

    status: ImageStatus = described("Whether it can be shown.", "ready")
    task_id: UUID | None = _absent("The task at work; while processing.")
    variants: list[VariantOut] | None = _absent("Widest first; when ready.")
    sources: list[SourceOut] | None = _absent(
        "For `<picture>`, the smallest files first; when there is more than WebP."
    )
    error: str | None = _absent("Why there is none; when failed.")


class CourseOut(BaseModel):
    """A course."""

    id: UUID = described("The course's id.")
    title: str = described("What it is called.", "Advanced React Development")
    description: str = described("What it teaches.", "Master React hooks, context and performance")
    difficulty: Difficulty = described("Whom it is for.", "Advanced")
    image_url: str | None = _absent(
        "The largest variant, or the address given.",
        "https://images.example.org/courses/1/2/1280.webp",
    )
    image: ImageOut | None = _absent("The uploaded image, if there is one.")
    created_at: datetime = described("When it was made.")
    updated_at: datetime = described("When it was changed last.")


class PaginationOut(BaseModel):
    """Where a page stands among the others."""

    current_page: int = described("From 1.", 1)
    total_pages: int = described("How many pages there are.", 3)
    total_count: int = described("How many courses are on all pages.", 25)
    has_next: bool = described("Whether there is a page behind this one.")
    has_prev: bool = described("Whether there is a page before this one.")
    limit: int = described("How many courses are on a full page.", 10)


class CoursePageOut(BaseModel):
    """One page of courses."""

    data: list[CourseOut] = described("The courses of this page.")
    pagination: PaginationOut = described("Where this page stands.")


class StudentEnrollmentOut(BaseModel):
    """A student's place in a course."""

    id: UUID = described("The enrollment's id.")
    student_email: str = described("Whose place it is.", "student@example.com")
    course_id: UUID = described("The course's id.")
    enrolled_at: datetime = described("Since when.")
    course: CourseOut = described("The course.")


class StudentEnrollmentsOut(BaseModel):
    """All places of a student."""

    student_email: str = described("Whose places they are.", "student@example.com")
    enrollments: list[StudentEnrollmentOut] = described("The latest first.")
    total: int = described("How many there are.", 1)


class CourseStudentsOut(BaseModel):
    """The emails of a course's students."""

    students: list[str] = described("Their emails.", ["student@example.com"])
    total: int = described("How many there are.", 1)


class StudentOut(BaseModel):
    """A student, as an admin sees one."""

    email: str = described("The student's email.", "student@example.com")
    enrollment_count: int = described("In how many courses.", 2)
    last_enrolled_at: datetime = described("When the student last enrolled.")


class StudentsOut(BaseModel):
    """One page of students, and how many there are."""

    students: list[StudentOut] = described("Those of this page, by email.")
    total: int = described("How many there are on all pages.", 1)


class EnrollmentOut(BaseModel):
    """An enrollment, as an admin sees one."""

    id: UUID = described("The enrollment's id.")
    student_email: str = described("Whose place it is.", "student@example.com")
    course: CourseOut = described("The course.")
    enrolled_at: datetime = described("Since when.")


class EnrollmentsOut(BaseModel):
    """One page of enrollments, and how many there are."""

    enrollments: list[EnrollmentOut] = described("Those of this page, the latest first.")
    total: int = described("How many there are on all pages.", 1)


class TaskOut(BaseModel):
    """A piece of slow work; arguments and traceback are for admins only."""

    id: UUID = described("The task's id.")
    name: str = described("What kind of work it is.", "images.process")
    status: TaskState = described("Where it stands; the last three are final.", "succeeded")
    progress: int = described("Percent.", 100, ge=0, le=100)
    attempts: int = described("How often it was started.", 1)
    created_at: datetime = described("When it was asked for.")
    started_at: datetime | None = described("When it was first started; null before.")
    finished_at: datetime | None = described("When it ended; null before.")
    error: str | None = described("Why it failed, or null.")
    has_result: bool | None = _absent("True if the task has left a result; else absent.")
    args: dict[str, Any] | None = _absent("Admins only.")
    traceback: str | None = _absent("Admins only.")

    @classmethod
    def of(cls, task: TaskRow, *, whole: bool) -> Self:
        """Return the response for a task; with `whole`, arguments and traceback for admins too."""
        shown = vars(task) | {
            "status": task.state,
            "has_result": task.result is not None or None,
        }
        return cls.model_validate(shown if whole else shown | {"args": None, "traceback": None})


class TasksOut(BaseModel):
    """One page of tasks, the newest first."""

    tasks: list[TaskOut] = described("The tasks of this page.")
    next_cursor: str | None = _absent("Asks for the next page; absent on the last.")

    @classmethod
    def of(cls, tasks: list[TaskRow], limit: int) -> Self:
        """Return the page; only a full page has a cursor of the next one."""
        last = tasks[-1] if len(tasks) == limit else None
        return cls(
            tasks=[TaskOut.of(task, whole=True) for task in tasks],
            next_cursor=cursors.encode(Cursor(last.created_at, last.id)) if last else None,
        )


class WorkflowTaskOut(TaskOut):
    """A task of a workflow."""

    waits_for: int = described("For how many tasks it waits still.", 1, ge=0)
    after: dict[str, UUID] = described(
        "The tasks for which it waits or has waited, by its names for them; at most 100."
    )


class WorkflowOut(BaseModel):
    """A workflow, the number of its tasks by where they stand, and a page of them."""

    id: UUID = described("The workflow's id.")
    created_at: datetime = described("When it was asked for.")
    waiting: int = described("Tasks that wait for others.", 1, ge=0)
    queued: int = described("Tasks that wait for a worker, or for their time.", 1, ge=0)
    running: int = described("Tasks that run.", 1, ge=0)
    succeeded: int = described("Tasks that have succeeded.", 2, ge=0)
    failed: int = described("Tasks that have failed.", 1, ge=0)
    cancelled: int = described("Tasks that were cancelled.", 1, ge=0)
    tasks: list[WorkflowTaskOut] = described("The tasks of this page, the newest first.")

    @classmethod
    def of(
        cls,
        workflow: WorkflowSummary,
        tasks: list[TaskRow],
        after: Mapping[UUID, Mapping[str, UUID]],
    ) -> Self:
        """Return the response; `after` has the predecessors of the tasks."""
        shown = [
            vars(task) | {"status": task.state, "after": after.get(task.id, {})} for task in tasks
        ]
        return cls.model_validate(vars(workflow) | {"tasks": shown})


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

    status: Health = described("Degraded: it answers, with parts missing.", "healthy")
    service: str = described("This service.", "course-enrollment-service")
    database: Connection = described("PostgreSQL.", "connected")
    redis: Connection = described("The cache.", "connected")
    storage: Connection = described("Where the images are.", "connected")
    tasks: Connection = described("Whether slow work is carried to the workers.", "connected")
    version: str = described("The release.", "1.0.0")

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

    status: Annotated[str, described("Always the same.", "live")] = "live"


class ReadyOut(BaseModel):
    """The process can do its work."""

    status: Annotated[str, described("Always the same.", "ready")] = "ready"


class FaultOut(BaseModel):
    """One thing wrong with one field."""

    field: str = described("Which field.", "title")
    code: Code = described("The reason, for programs.", "REQUIRED")
    message: str = described("The reason, for people.", "Title is required")


class ErrorDetailsOut(BaseModel):
    """What a program can act on."""

    code: Code = described("The reason, for programs.", "REQUIRED")
    field: str | None = _absent("The first field at fault, if one is.", "title")
    errors: list[FaultOut] | None = _absent("All faults, when there are several.")


class ErrorOut(BaseModel):
    """The one shape of every error."""

    error: str = described("What kind of error, in short.", "Validation failed")
    message: str = described("What is wrong, for people.", "Title is required")
    details: ErrorDetailsOut = described("What is wrong, for programs.")
