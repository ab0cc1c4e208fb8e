"""Admins create courses with pictures; operators read health and metrics."""

import json
import time
from http import HTTPStatus
from uuid import uuid4

from locust import task

from loadtests.load import endpoints
from loadtests.load.client import Answer
from loadtests.load.exposition import origin_of_metrics
from loadtests.load.shapes import Role
from loadtests.load.users import Arriving

POLL_SECONDS = 0.25
# Less than the shortest shape, so that an image that never gets ready is reported before its end.
IMAGE_WAIT_SECONDS = 20.0
COURSES_A_LOGIN = 10
_FINAL = frozenset({"succeeded", "failed", "cancelled"})
_CREATED = frozenset({HTTPStatus.CREATED})
_GONE = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND})
_FIELDS = {
    "title": "Load testing, hands on",
    "description": "A course of the load test; it goes when the test ends.",
    "difficulty": "Beginner",
}


class Admin(Arriving):
    """Logs in, makes a course with a picture, watches its task to the end, looks at the picture."""

    role = Role.ADMIN

    def on_start(self) -> None:
        """Begin without a token and without courses."""
        self._headers: dict[str, str] = {}
        self._made: list[str] = []
        super().on_start()

    def on_stop(self) -> None:
        """Delete the courses of this run."""
        for course_id in self._made:
            self._delete(course_id)

    @task(9)
    def make_course_with_picture(self) -> None:
        """Upload, and poll until the image is ready."""
        if (due := self._log_in()) is None:
            return
        boundary = uuid4().hex
        answer = self.client.send(
            endpoints.UPLOAD,
            "/api/v1/courses/upload",
            due=due,
            body=_multipart(_FIELDS, self.dataset.photo, boundary),
            headers={
                **self._headers,
                "Content-Type": f"multipart/form-data; boundary={boundary}",
            },
            expected=_CREATED,
        )
        if answer:
            uploaded_at = time.monotonic()
            course = answer.json()
            self._made.append(course["id"])
            self._watch(course["image"]["task_id"], course["id"], uploaded_at)

    @task(1)
    def make_course(self) -> None:
        """Create a course without a picture, and delete it."""
        if (due := self._log_in()) is None:
            return
        answer = self.client.send(
            endpoints.CREATE,
            "/api/v1/courses",
            due=due,
            body=json.dumps(_FIELDS).encode(),
            headers={**self._headers, "Content-Type": "application/json"},
            expected=_CREATED,
        )
        if answer:
            self._delete(answer.json()["id"])

    def _log_in(self) -> float | None:
        """Log in if needed; return when the next request is due, None if the login failed."""
        if self._headers and len(self._made) % COURSES_A_LOGIN:
            return self.due
        credentials = {"username": self.dataset.username, "password": self.dataset.password}
        answer = self.client.send(
            endpoints.LOGIN,
            "/api/v1/auth/login",
            due=self.due,
            body=json.dumps(credentials).encode(),
            headers={"Content-Type": "application/json"},
        )
        if answer is None:
            return None
        self._headers = {"Authorization": f"Bearer {answer.json()['token']}"}
        return time.monotonic()

    def _watch(self, task_id: str, course_id: str, uploaded_at: float) -> None:
        deadline = uploaded_at + IMAGE_WAIT_SECONDS
        state = "never final"
        while time.monotonic() < deadline:
            answer = self.client.send(endpoints.TASK, f"/api/v1/tasks/{task_id}")
            if answer and (state := answer.json()["status"]) in _FINAL:
                break
            time.sleep(POLL_SECONDS)
        self.client.report(
            endpoints.IMAGE_READY,
            time.monotonic() - uploaded_at,
            error="" if state == "succeeded" else f"task {state}",
        )
        if state == "succeeded":
            shown = self.client.send(endpoints.COURSE, f"/api/v1/courses/{course_id}")
            if shown:
                self._look_at_image(shown)

    def _look_at_image(self, shown: Answer) -> None:
        image = shown.json()["image"]
        if image["status"] != "ready":
            return  # another instance may show an older state for a second
        origin, slash, path = image["variants"][-1]["url"].replace("//", "\0", 1).partition("/")
        client = self.connect(origin.replace("\0", "//"))
        client.send(endpoints.IMAGE, slash + path)
        client.close()

    def _delete(self, course_id: str) -> None:
        self.client.send(
            endpoints.DELETE,
            f"/api/v1/courses/{course_id}",
            headers=self._headers,
            expected=_GONE,
        )


class Operator(Arriving):
    """Reads health and metrics."""

    role = Role.OPERATOR

    @task(4)
    def look_at_health(self) -> None:
        """Read the health of the parts."""
        self.client.send(endpoints.HEALTH, "/health", due=self.due, is_right=_is_healthy)

    @task(1)
    def read_metrics(self) -> None:
        """Read what Prometheus reads."""
        client = self.connect(origin_of_metrics(self.host or ""))
        client.send(endpoints.METRICS, "/metrics", due=self.due)
        client.close()


def _is_healthy(answer: Answer) -> bool:
    return bool(answer.json()["status"] == "healthy")


def _multipart(fields: dict[str, str], photo: bytes, boundary: str) -> bytes:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    end = f"\r\n--{boundary}--\r\n"
    return "".join([*parts, head]).encode() + photo + end.encode()
