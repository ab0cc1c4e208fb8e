"""What can go wrong in the business. A class's docstring is its message, its data are attributes.

The API maps each class of the first level to a status; nothing here knows HTTP.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from infra.errors import DeclaredError


class Code(StrEnum):
    """The machine-readable reasons that clients match on."""

    REQUIRED = "REQUIRED"
    INVALID_TYPE = "INVALID_TYPE"
    INVALID_FORMAT = "INVALID_FORMAT"
    NOT_ALLOWED = "NOT_ALLOWED"
    TOO_LONG = "TOO_LONG"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"
    NOT_FOUND = "NOT_FOUND"
    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    FORBIDDEN = "FORBIDDEN"
    TASK_STATE = "TASK_STATE"
    DUPLICATE_ENROLLMENT = "DUPLICATE_ENROLLMENT"
    IDEMPOTENCY_MISMATCH = "IDEMPOTENCY_MISMATCH"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    PRECONDITION_FAILED = "PRECONDITION_FAILED"
    RATE_LIMITED = "RATE_LIMITED"
    UNAVAILABLE = "UNAVAILABLE"
    SWITCHED_OFF = "SWITCHED_OFF"
    MALFORMED_JSON = "MALFORMED_JSON"
    MISSING_TOKEN = "MISSING_TOKEN"  # noqa: S105  a reason, not a secret
    INVALID_TOKEN = "INVALID_TOKEN"  # noqa: S105  a reason, not a secret
    TOKEN_EXPIRED = "TOKEN_EXPIRED"  # noqa: S105  a reason, not a secret
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True)
class Fault:
    """One thing wrong with one field."""

    field: str
    code: Code
    message: str


class ServiceError(DeclaredError):
    """Something went wrong."""

    code: ClassVar[Code] = Code.INTERNAL
    # The one field of the request that is at fault, if the class tells.
    field: ClassVar[str | None] = None


class NotFound(ServiceError):
    """The requested thing does not exist"""

    code = Code.NOT_FOUND


class Conflict(ServiceError):
    """The request contradicts what is there"""


class Unauthenticated(ServiceError):
    """This needs a login"""


class Forbidden(ServiceError):
    """You are not allowed to do this"""

    code = Code.FORBIDDEN


class Changed(ServiceError):
    """The requested thing has changed since it was read"""

    code = Code.PRECONDITION_FAILED


class TooLarge(ServiceError):
    """The content is too large"""

    code = Code.PAYLOAD_TOO_LARGE


class UnsupportedMedia(ServiceError):
    """The content is of a kind that is not taken"""

    code = Code.UNSUPPORTED_MEDIA_TYPE


class Unavailable(ServiceError):
    """A part of the service is down; try again soon"""

    code = Code.UNAVAILABLE
    retry_after_seconds: ClassVar[int] = 2


class SwitchedOff(Unavailable):
    """An operator has switched this off for now; try again later"""

    code = Code.SWITCHED_OFF
    # An operator takes minutes, and many clients wait.
    retry_after_seconds = 30


class RateLimited(ServiceError):
    """Too many requests; slow down"""

    code = Code.RATE_LIMITED

    def __init__(self, limit: int, retry_after: int, reset: int) -> None:
        """Say how many a minute are allowed, and in how many seconds there is one, and are all."""
        self.limit = limit
        self.retry_after = retry_after
        self.reset = reset
        super().__init__()


class Invalid(ServiceError):
    """One or more fields are not valid"""

    def __init__(self, *faults: Fault) -> None:
        self.faults = faults
        super().__init__(faults[0].message)


class CourseNotFound(NotFound):
    """The requested course does not exist"""


class CourseChanged(Changed):
    """The course is not the version that If-Match names; read it again"""


class EnrollmentNotFound(NotFound):
    """The requested enrollment does not exist"""


class UploadGone(NotFound):
    """The uploaded image was not kept any longer; upload it again"""


class UserNotFound(NotFound):
    """The requested user does not exist"""


class UnknownCourse(Invalid):
    """The specified course does not exist"""

    def __init__(self) -> None:
        message = "The specified course does not exist"
        super().__init__(Fault("course_id", Code.NOT_FOUND, message))


class AlreadyEnrolled(Conflict):
    """Student is already enrolled in this course"""

    code = Code.DUPLICATE_ENROLLMENT


class InvalidCredentials(Unauthenticated):
    """Invalid username or password"""

    code = Code.INVALID_CREDENTIALS


class InvalidRefreshToken(Unauthenticated):
    """Refresh token is invalid or expired"""

    code = Code.INVALID_TOKEN


class RefreshTokenExpired(InvalidRefreshToken):
    """Refresh token is invalid or expired"""

    code = Code.TOKEN_EXPIRED


class RefreshTokenReused(InvalidRefreshToken):
    """Refresh token is invalid or expired"""

    def __init__(self, ended: UUID) -> None:
        # The session, which has ended by it.
        self.ended = ended
        super().__init__()
