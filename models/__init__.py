"""What the database enforces: tables, constraints and indexes."""

from models.course import Course, CourseTotal, Difficulty
from models.enrollment import Enrollment
from models.image import ImageVariant, Upload
from models.task import Task, TaskState
from models.user import Role, User

__all__ = [
    "Course",
    "CourseTotal",
    "Difficulty",
    "Enrollment",
    "ImageVariant",
    "Role",
    "Task",
    "TaskState",
    "Upload",
    "User",
]
