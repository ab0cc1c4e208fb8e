"""The tables of the database, with their constraints and indexes."""

from models.audit import AuditEntry, Outcome
from models.course import Course, Difficulty
from models.enrollment import Enrollment
from models.flag import FeatureFlag, FeatureFlagUse
from models.idempotency import IdempotentResponse
from models.image import ImageVariant, Upload
from models.session import RefreshToken, Session
from models.task import (
    Task,
    TaskDedupeKey,
    TaskEdge,
    TaskQueue,
    TaskRetention,
    TaskSchedule,
    TaskState,
)
from models.totals import CourseTotal, EnrollmentTotal, Student
from models.user import Role, User

__all__ = [
    "AuditEntry",
    "Course",
    "CourseTotal",
    "Difficulty",
    "Enrollment",
    "EnrollmentTotal",
    "FeatureFlag",
    "FeatureFlagUse",
    "IdempotentResponse",
    "ImageVariant",
    "Outcome",
    "RefreshToken",
    "Role",
    "Session",
    "Student",
    "Task",
    "TaskDedupeKey",
    "TaskEdge",
    "TaskQueue",
    "TaskRetention",
    "TaskSchedule",
    "TaskState",
    "Upload",
    "User",
]
