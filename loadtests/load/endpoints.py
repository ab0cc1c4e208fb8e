"""The kinds of requests, by the names in Locust's tables and the report."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Endpoint:
    """A kind of request; `route` is how the service's own metrics call it, if they do."""

    method: str
    name: str
    route: str | None = None

    @property
    def title(self) -> str:
        """Method and name."""
        return f"{self.method} {self.name}"


_API = "/api/v1"
_COURSES = f"{_API}/courses"

LIST = Endpoint("GET", "/courses", _COURSES)
PAGE = Endpoint("GET", "/courses?page", _COURSES)
FILTER = Endpoint("GET", "/courses?difficulty", _COURSES)
SEARCH = Endpoint("GET", "/courses?search", _COURSES)
COURSE = Endpoint("GET", "/courses/{id}", f"{_COURSES}/<course_id>")
IMAGE = Endpoint("GET", "image", "/media/<quoted>")
ENROL = Endpoint("POST", "/enrollments", f"{_API}/enrollments")
ENROL_AGAIN = Endpoint("POST", "/enrollments (again)", f"{_API}/enrollments")
MY_COURSES = Endpoint(
    "GET", "/students/{email}/enrollments", f"{_API}/students/<email>/enrollments"
)
LOGIN = Endpoint("POST", "/auth/login", f"{_API}/auth/login")
CREATE = Endpoint("POST", "/courses", _COURSES)
UPLOAD = Endpoint("POST", "/courses/upload", f"{_COURSES}/upload")
TASK = Endpoint("GET", "/tasks/{id}", f"{_API}/tasks/<task_id>")
DELETE = Endpoint("DELETE", "/courses/{id}", f"{_COURSES}/<course_id>")
HEALTH = Endpoint("GET", "/health", "/health")
METRICS = Endpoint("GET", "/metrics")
# Not a request: from the answer to an upload until a client sees that its image is ready.
IMAGE_READY = Endpoint("task", "image ready after upload")

ALL = (
    LIST, PAGE, FILTER, SEARCH, COURSE, IMAGE, ENROL, ENROL_AGAIN, MY_COURSES,
    LOGIN, CREATE, UPLOAD, TASK, DELETE, HEALTH, METRICS, IMAGE_READY,
)  # fmt: skip
BY_TITLE = {endpoint.title: endpoint for endpoint in ALL}
STUDENTS = frozenset({LIST, PAGE, FILTER, SEARCH, COURSE, IMAGE, ENROL, ENROL_AGAIN, MY_COURSES})
