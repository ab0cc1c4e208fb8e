"""After any sequence of calls the service agrees with a model in memory.

A small run; STATES=200 runs as many sequences of up to fifty steps each.
"""

import os

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.factories import ADMIN, COURSE, bearer, new_email
from tests.security.servers import own_api

STATES = int(os.environ.get("STATES", "4"))
STEPS = 50 if STATES > 10 else 25
TITLES = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=30)
LEVELS = st.sampled_from(["Beginner", "Intermediate", "Advanced"])


class Registration(RuleBasedStateMachine):
    """An admin's sessions, the courses and their students."""

    client: httpx.Client

    sessions = Bundle("sessions")
    ended = Bundle("ended")
    courses = Bundle("courses")
    deleted = Bundle("deleted")
    students = Bundle("students")

    def __init__(self) -> None:
        super().__init__()
        self.titles: dict[str, str] = {}
        self.enrolled: dict[tuple[str, str], str] = {}
        self.emails: set[str] = set()

    def call(self, method: str, path: str, status: int, session=None, **content):
        """Call the API; the status must be the given one."""
        headers = bearer(session["token"]) if session else {}
        response = self.client.request(method, f"/api/v1{path}", headers=headers, **content)
        assert response.status_code == status, (method, path, response.text)
        return response.json() if response.content else None

    @rule(target=sessions)
    def log_in(self):
        return self.call("POST", "/auth/login", 200, json=ADMIN)

    @rule()
    def log_in_with_a_wrong_password(self):
        self.call("POST", "/auth/login", 401, json=ADMIN | {"password": "wrong"})

    @rule(target=sessions, session=consumes(sessions))
    def refresh(self, session):
        spent = {"refresh_token": session["refresh_token"]}
        fresh = self.call("POST", "/auth/refresh", 200, json=spent)
        assert fresh["refresh_token"] != session["refresh_token"]
        self.call("GET", "/auth/profile", 200, session)  # earlier access tokens stay valid
        return fresh

    @rule(target=ended, session=consumes(sessions))
    def log_out(self, session):
        self.call("POST", "/auth/logout", 204, session)
        return session

    @rule(session=ended)
    def use_an_ended_session(self, session):
        self.call("GET", "/auth/profile", 401, session)
        self.call("POST", "/courses", 401, session, json=COURSE)
        spent = {"refresh_token": session["refresh_token"]}
        self.call("POST", "/auth/refresh", 401, json=spent)

    @rule(target=courses, session=sessions, title=TITLES, level=LEVELS)
    def create(self, session, title, level):
        body = COURSE | {"title": title, "difficulty": level}
        course = self.call("POST", "/courses", 201, session, json=body)
        assert course["title"] == title
        self.titles[course["id"]] = title
        return course["id"]

    @rule(session=sessions, course=courses, title=TITLES)
    def rename(self, session, course, title):
        self.call("PUT", f"/courses/{course}", 200, session, json=COURSE | {"title": title})
        self.titles[course] = title

    @rule(target=deleted, session=sessions, course=consumes(courses))
    def delete(self, session, course):
        self.call("DELETE", f"/courses/{course}", 204, session)
        del self.titles[course]
        self.enrolled = {key: one for key, one in self.enrolled.items() if key[0] != course}
        return course

    @rule(session=sessions, course=deleted)
    def use_a_deleted_course(self, session, course):
        self.call("GET", f"/courses/{course}", 404)
        self.call("PUT", f"/courses/{course}", 404, session, json=COURSE)
        self.call("DELETE", f"/courses/{course}", 404, session)
        body = {"student_email": new_email(), "course_id": course}
        self.call("POST", "/enrollments", 400, json=body)

    @rule(target=students)
    def meet(self):
        email = new_email()
        self.emails.add(email)
        return email

    @rule(email=students, course=courses, shout=st.booleans())
    def enrol(self, email, course, shout):
        known = (course, email) in self.enrolled
        body = {"student_email": email.upper() if shout else email, "course_id": course}
        response = self.call("POST", "/enrollments", 409 if known else 201, json=body)
        if not known:
            self.enrolled[course, email] = response["id"]
            assert response["student_email"] == email
            assert response["course"]["title"] == self.titles[course]

    @rule(session=sessions, email=students, course=courses)
    def drop(self, session, email, course):
        known = self.enrolled.pop((course, email), None)
        path = f"/courses/{course}/students/{email}"
        self.call("DELETE", path, 204 if known else 404, session)

    @rule(session=sessions, email=students, course=courses)
    def drop_by_number(self, session, email, course):
        if number := self.enrolled.pop((course, email), None):
            self.call("DELETE", f"/admin/enrollments/{number}", 204, session)
            self.call("DELETE", f"/admin/enrollments/{number}", 404, session)

    @rule(session=sessions, course=courses)
    def students_of(self, session, course):
        listed = self.call("GET", f"/courses/{course}/students", 200, session)
        expected = sorted(email for one, email in self.enrolled if one == course)
        assert sorted(listed["students"]) == expected
        assert listed["total"] == len(expected)

    @rule(email=students)
    def courses_of(self, email):
        listed = self.call("GET", f"/students/{email}/enrollments", 200)
        shown = {each["course"]["id"]: each["course"]["title"] for each in listed["enrollments"]}
        mine = {course for course, one in self.enrolled if one == email}
        assert shown == {course: self.titles[course] for course in mine}

    @invariant()
    def the_catalogue_is_the_models(self):
        if self.titles:
            course = next(reversed(self.titles))
            shown = self.call("GET", f"/courses/{course}", 200)
            assert shown["title"] == self.titles[course]

    def teardown(self) -> None:
        session = self.call("POST", "/auth/login", 200, json=ADMIN)
        for course in self.titles:
            self.call("DELETE", f"/courses/{course}", 204, session)
        for email in self.emails:
            assert self.call("GET", f"/students/{email}/enrollments", 200)["total"] == 0


@pytest.mark.timeout(0 if STATES > 10 else 600)
async def test_the_service_agrees_with_the_model(service, tmp_path):
    exempt = {"RATE_LIMIT_EXEMPT": "127.0.0.1"}
    async with own_api(service, tmp_path, **exempt) as server:
        with httpx.Client(base_url=server.address, timeout=30) as client:
            Registration.client = client
            run_state_machine_as_test(
                Registration,
                settings=settings(
                    max_examples=STATES,
                    stateful_step_count=STEPS,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
