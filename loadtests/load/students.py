"""Students: most look around, some enrol."""

import json
import re
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from locust import task

from loadtests.load import endpoints
from loadtests.load.catalogue import PAGE_SIZE
from loadtests.load.client import Answer
from loadtests.load.endpoints import Endpoint
from loadtests.load.shapes import Role
from loadtests.load.users import Arriving

VIEWS_A_VISIT = 8
_VARIANT = re.compile(rb'"url":"(https?://[^/"]+)(/[^"]+)"')
_FRESH = frozenset({HTTPStatus.OK})
_FRESH_OR_KNOWN = frozenset({HTTPStatus.OK, HTTPStatus.NOT_MODIFIED})
_CREATED = frozenset({HTTPStatus.CREATED})
_CONFLICT = frozenset({HTTPStatus.CONFLICT})
_JSON = {"Content-Type": "application/json"}

Check = Callable[[Answer], bool]


class BrowsingStudent(Arriving):
    """Looks at lists and courses as a browser does: asks again with the ETag, loads images.

    Each arrival is one request: an image that a course's page has named goes before the next page.
    """

    role = Role.BROWSING

    def on_start(self) -> None:
        """Begin a visit."""
        self._begin_visit()
        super().on_start()
        self._image_client = (self.host or "").rstrip("/"), self.client

    def _begin_visit(self) -> None:
        self._etags: dict[str, str] = {}
        self._images: list[tuple[str, str]] = []
        self._views = 0

    @task(35)
    def look_at_course(self) -> None:
        """Look at a course, and load one size of its image."""
        course_id = self.catalogue.course_ids.draw(self.random)
        answer = self._view(
            endpoints.COURSE, f"/api/v1/courses/{course_id}", partial(_is_course, course_id)
        )
        if answer and (found := _VARIANT.findall(answer.body)):
            origin, path = self.random.choice(found)
            self._images.append((origin.decode(), path.decode()))

    @task(33)
    def turn_pages(self) -> None:
        """Look at a page of the catalogue."""
        self._view(endpoints.PAGE, self.catalogue.pages.draw(self.random), _is_page)

    @task(13)
    def filter_courses(self) -> None:
        """Look at the courses of a difficulty."""
        self._view(endpoints.FILTER, self.catalogue.filters.draw(self.random), _is_page)

    @task(13)
    def search_courses(self) -> None:
        """Search for a word."""
        self._view(endpoints.SEARCH, self.catalogue.searches.draw(self.random), _is_page)

    @task(1)
    def list_all(self) -> None:
        """Fetch the plain array of up to 1,000 courses, as the oldest clients do."""
        self._view(endpoints.LIST, "/api/v1/courses", _is_array)

    def _view(self, endpoint: Endpoint, path: str, is_right: Check) -> Answer | None:
        """Load an image that waits, or else a page."""
        if self._images:
            self._load_image(*self._images.pop())
            return None
        self._views += 1
        if self._views > VIEWS_A_VISIT:
            self._begin_visit()
        known = self._etags.get(path)
        answer = self.client.send(
            endpoint,
            path,
            due=self.due,
            headers={"If-None-Match": known} if known else None,
            expected=_FRESH_OR_KNOWN if known else _FRESH,
            is_right=is_right,
        )
        if answer and (etag := answer.header("etag")):
            self._etags[path] = etag
        return answer

    def _load_image(self, origin: str, path: str) -> None:
        if self._image_client[0] != origin:
            self._image_client = origin, self.connect(origin)
        self._image_client[1].send(endpoints.IMAGE, path, due=self.due, is_right=_is_webp)


class EnrollingStudent(Arriving):
    """Enrols, now and then twice in the same course, and looks at the own courses."""

    role = Role.ENROLLING

    def on_start(self) -> None:
        """Begin without an enrolment."""
        self._last: tuple[str, str] | None = None
        super().on_start()

    @task(75)
    def enrol(self) -> None:
        """Enrol a new student."""
        email, course_id = self.dataset.new_email(), self.catalogue.wanted_ids.draw(self.random)
        body = json.dumps({"student_email": email, "course_id": course_id}).encode()
        if self.client.send(
            endpoints.ENROL,
            "/api/v1/enrollments",
            due=self.due,
            body=body,
            headers=_JSON,
            expected=_CREATED,
            is_right=partial(_is_enrollment, email, course_id),
        ):
            self._last = email, course_id

    @task(5)
    def enrol_again(self) -> None:
        """Enrol in the same course once more: a refusal is the right answer."""
        if self._last is None:
            self.enrol()
            return
        email, course_id = self._last
        self.client.send(
            endpoints.ENROL_AGAIN,
            "/api/v1/enrollments",
            due=self.due,
            body=json.dumps({"student_email": email, "course_id": course_id}).encode(),
            headers=_JSON,
            expected=_CONFLICT,
            is_right=_is_duplicate,
        )

    @task(20)
    def see_own_courses(self) -> None:
        """Read the own courses."""
        if self._last is None:
            self.enrol()
            return
        email, course_id = self._last
        self.client.send(
            endpoints.MY_COURSES,
            f"/api/v1/students/{email}/enrollments",
            due=self.due,
            is_right=partial(_has_course, course_id),
        )


def _is_course(course_id: str, answer: Answer) -> bool:
    return answer.status == HTTPStatus.NOT_MODIFIED or answer.json()["id"] == course_id


def _is_page(answer: Answer) -> bool:
    if answer.status == HTTPStatus.NOT_MODIFIED:
        return True
    page = answer.json()
    return bool(len(page["data"]) <= page["pagination"]["limit"] == PAGE_SIZE)


def _is_array(answer: Answer) -> bool:
    return answer.status == HTTPStatus.NOT_MODIFIED or len(answer.json()) > 0


def _is_webp(answer: Answer) -> bool:
    return answer.body[:4] == b"RIFF" and answer.body[8:12] == b"WEBP"


def _is_enrollment(email: str, course_id: str, answer: Answer) -> bool:
    enrollment = answer.json()
    return bool((enrollment["student_email"], enrollment["course_id"]) == (email, course_id))


def _is_duplicate(answer: Answer) -> bool:
    return bool(answer.json()["details"]["code"] == "DUPLICATE_ENROLLMENT")


def _has_course(course_id: str, answer: Answer) -> bool:
    return course_id in {each["course_id"] for each in answer.json()["enrollments"]}
