"""What clients get. Optional fields that are absent, rather than null, say so with `_Absent`."""

from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, Field

from models import Course, Difficulty, Enrollment, Role, Task, TaskState, User
from services.enrollments import StudentSummary

UrlOf = Callable[[str], str]


def _absent(**about: Any) -> Any:
    """Return a field that is left out of the JSON while it is None."""
    return Field(
        default=None,
        exclude_if=lambda value: value is None,
        json_schema_extra=_never_null,
        **about,
    )


def _never_null(schema: dict[str, Any]) -> None:
    schema.pop("default", None)
    kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) == 1:
        schema.update(kinds[0])


class UserOut(BaseModel):
    """An account."""

    id: UUID
    username: Annotated[str, Field(examples=["admin"])]
    role: Annotated[Role, Field(examples=["admin"])]
    created_at: datetime

    @classmethod
    def of(cls, user: User) -> Self:
        """Return the account as clients see it."""
        return cls(id=user.id, username=user.username, role=user.role, created_at=user.created_at)


class LoginOut(BaseModel):
    """A token to send as `Authorization: Bearer`, and whose it is."""

    token: Annotated[str, Field(examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2ln"])]
    expires_at: datetime
    user: UserOut


class ImageStatus(StrEnum):
    """Where the image of a course stands."""

    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


class VariantOut(BaseModel):
    """One size of an image; pixels and bytes."""

    width: Annotated[int, Field(examples=[1280])]
    height: Annotated[int, Field(examples=[960])]
    format: Annotated[str, Field(examples=["webp"])]
    bytes: Annotated[int, Field(examples=[84210])]
    url: Annotated[str, Field(examples=["https://images.example.org/courses/1/2/1280.webp"])]


class ImageOut(BaseModel):
    """The uploaded image of a course."""

    status: Annotated[ImageStatus, Field(examples=["ready"])]
    task_id: UUID | None = _absent(description="The task at work; while processing.")
    variants: list[VariantOut] | None = _absent(description="Widest first; when ready.")
    error: str | None = _absent(description="Why there is none; when failed.")

    @classmethod
    def of(cls, course: Course, variants: list[VariantOut]) -> Self | None:
        """Return the image's state: its task's if one is at work or failed."""
        task: Task | None = course.image_task
        if task is None:
            return cls(status=ImageStatus.READY, variants=variants) if variants else None
        if task.state in {TaskState.QUEUED, TaskState.RUNNING}:
            return cls(status=ImageStatus.PROCESSING, task_id=task.id)
        return cls(status=ImageStatus.FAILED, error=task.error or "The processing was cancelled")


class CourseOut(BaseModel):
    """A course."""

    id: UUID
    title: Annotated[str, Field(examples=["Advanced React Development"])]
    description: Annotated[str, Field(examples=["Master React hooks, context and performance"])]
    difficulty: Annotated[Difficulty, Field(examples=["Advanced"])]
    image_url: str | None = _absent(
        description="The largest variant, or the address given.",
        examples=["https://images.example.org/courses/1/2/1280.webp"],
    )
    image: ImageOut | None = _absent(description="The uploaded image, if there is one.")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, course: Course, url_of: UrlOf) -> Self:
        """Return the course as clients see it; `url_of` gives the address of a stored object."""
        variants = [
            VariantOut(
                width=variant.width,
                height=variant.height,
                format=variant.format,
                bytes=variant.bytes,
                url=url_of(variant.key),
            )
            for variant in course.variants
        ]
        return cls(
            id=course.id,
            title=course.title,
            description=course.description,
            difficulty=course.difficulty,
            image_url=variants[0].url if variants else course.image_url,
            image=ImageOut.of(course, variants),
            created_at=course.created_at,
            updated_at=course.updated_at,
        )


class PaginationOut(BaseModel):
    """Where a page stands among the others."""

    current_page: Annotated[int, Field(examples=[1])]
    total_pages: Annotated[int, Field(examples=[3])]
    total_count: Annotated[int, Field(examples=[25])]
    has_next: bool
    has_prev: bool
    limit: Annotated[int, Field(examples=[10])]

    @classmethod
    def of(cls, page: int, limit: int, total: int) -> Self:
        """Count the pages."""
        pages = -(-total // limit)
        return cls(
            current_page=page,
            total_pages=pages,
            total_count=total,
            has_next=page < pages,
            has_prev=page > 1,
            limit=limit,
        )


class CoursePageOut(BaseModel):
    """One page of courses."""

    data: list[CourseOut]
    pagination: PaginationOut


class StudentEnrollmentOut(BaseModel):
    """A student's place in a course."""

    id: UUID
    student_email: Annotated[str, Field(examples=["student@example.com"])]
    course_id: UUID
    enrolled_at: datetime
    course: CourseOut

    @classmethod
    def of(cls, enrollment: Enrollment, url_of: UrlOf) -> Self:
        """Return the enrollment with its course."""
        return cls(
            id=enrollment.id,
            student_email=enrollment.student_email,
            course_id=enrollment.course_id,
            enrolled_at=enrollment.enrolled_at,
            course=CourseOut.of(enrollment.course, url_of),
        )


class StudentEnrollmentsOut(BaseModel):
    """All places of a student."""

    student_email: Annotated[str, Field(examples=["student@example.com"])]
    enrollments: list[StudentEnrollmentOut]
    total: Annotated[int, Field(examples=[1])]


class CourseStudentsOut(BaseModel):
    """The emails of a course's students."""

    students: Annotated[list[str], Field(examples=[["student@example.com"]])]
    total: Annotated[int, Field(examples=[1])]


class StudentOut(BaseModel):
    """A student, as an admin sees one."""

    email: Annotated[str, Field(examples=["student@example.com"])]
    enrollment_count: Annotated[int, Field(examples=[2])]
    last_enrolled_at: datetime

    @classmethod
    def of(cls, student: StudentSummary) -> Self:
        """Return the summary."""
        return cls(
            email=student.email,
            enrollment_count=student.enrollment_count,
            last_enrolled_at=student.last_enrolled_at,
        )


class StudentsOut(BaseModel):
    """One page of students, and how many there are."""

    students: list[StudentOut]
    total: Annotated[int, Field(examples=[1])]


class EnrollmentOut(BaseModel):
    """An enrollment, as an admin sees one."""

    id: UUID
    student_email: Annotated[str, Field(examples=["student@example.com"])]
    course: CourseOut
    enrolled_at: datetime

    @classmethod
    def of(cls, enrollment: Enrollment, url_of: UrlOf) -> Self:
        """Return the enrollment with its course."""
        return cls(
            id=enrollment.id,
            student_email=enrollment.student_email,
            course=CourseOut.of(enrollment.course, url_of),
            enrolled_at=enrollment.enrolled_at,
        )


class EnrollmentsOut(BaseModel):
    """One page of enrollments, and how many there are."""

    enrollments: list[EnrollmentOut]
    total: Annotated[int, Field(examples=[1])]


class TaskOut(BaseModel):
    """A piece of slow work; arguments and traceback are for admins only."""

    id: UUID
    name: Annotated[str, Field(examples=["images.process"])]
    status: Annotated[TaskState, Field(examples=["succeeded"])]
    progress: Annotated[int, Field(ge=0, le=100, description="Percent.", examples=[100])]
    attempts: Annotated[int, Field(examples=[1])]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None
    args: dict[str, Any] | None = _absent(description="Admins only.")
    traceback: str | None = _absent(description="Admins only.")

    @classmethod
    def of(cls, task: Task, *, whole: bool) -> Self:
        """Return the task; `whole` for admins."""
        return cls(
            id=task.id,
            name=task.name,
            status=task.state,
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

    tasks: list[TaskOut]
    next_cursor: str | None = _absent(description="Asks for the next page; absent on the last.")

    @classmethod
    def of(cls, tasks: list[Task], limit: int) -> Self:
        """Return the page; a full one may have another behind it."""
        last = tasks[-1] if len(tasks) == limit else None
        place = f"{last.created_at.isoformat()} {last.id}".encode() if last else None
        return cls(
            tasks=[TaskOut.of(task, whole=True) for task in tasks],
            next_cursor=urlsafe_b64encode(place).decode() if place else None,
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

    status: Annotated[Health, Field(examples=["healthy"])]
    service: Annotated[str, Field(examples=["course-enrollment-service"])]
    database: Annotated[Connection, Field(examples=["connected"])]
    redis: Annotated[Connection, Field(examples=["connected"])]
    storage: Annotated[Connection, Field(examples=["connected"])]
    tasks: Annotated[Connection, Field(examples=["connected"])]
    version: Annotated[str, Field(examples=["0.1.0"])]


class LiveOut(BaseModel):
    """The process answers."""

    status: Annotated[str, Field(examples=["live"])] = "live"


class ReadyOut(BaseModel):
    """The process can do its work."""

    status: Annotated[str, Field(examples=["ready"])] = "ready"


class FaultOut(BaseModel):
    """One thing wrong with one field."""

    field: Annotated[str, Field(examples=["title"])]
    code: Annotated[str, Field(examples=["REQUIRED"])]
    message: Annotated[str, Field(examples=["Title is required"])]


class ErrorDetailsOut(BaseModel):
    """What a program can act on."""

    code: Annotated[str, Field(examples=["REQUIRED"])]
    field: str | None = _absent(examples=["title"])
    errors: list[FaultOut] | None = _absent(description="All faults, when there are several.")


class ErrorOut(BaseModel):
    """The one shape of every error."""

    error: Annotated[str, Field(examples=["Validation failed"])]
    message: Annotated[str, Field(examples=["Title is required"])]
    details: ErrorDetailsOut
