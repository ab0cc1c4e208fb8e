"""The enrollment batcher: students of one course share a statement, each with their own result."""

import asyncio
from collections import Counter
from types import SimpleNamespace

import asyncpg
import pytest
from tortoise.exceptions import IntegrityError

from infra.db.engine import database
from models import Course, Difficulty
from services.enrollments import write
from services.enrollments.batcher import MOST_TOGETHER, EnrollmentBatcher
from services.enrollments.limiter import CourseBusy
from services.enrollments.write import Enrollment
from services.errors import AlreadyEnrolled, UnknownCourse
from tests.factories import new_email

SOON_SECONDS = 0.3


@pytest.fixture
async def course(new_database):
    """A course in a database of its own, and a connection beside the pool."""
    url = await new_database()
    async with database(url, pool_size=4):
        made = await Course.create(title="T", description="D", difficulty=Difficulty.BEGINNER)
        beside = await asyncpg.connect(url)
        yield SimpleNamespace(id=made.id, connection=beside)
        await beside.close()


async def _enrolled(course):
    """Return the enrolled students and the number of statements that enrolled them."""
    rows = await course.connection.fetch("SELECT student_email, xmin::text FROM enrollments")
    return {row["student_email"] for row in rows}, len({row["xmin"] for row in rows})


async def _enroll_all(batcher, course, emails):
    wanted = (batcher.enroll(email, course.id) for email in emails)
    return await asyncio.gather(*wanted, return_exceptions=True)


async def test_waiting_students_are_enrolled_by_one_statement(course):
    batcher = EnrollmentBatcher()
    emails = [new_email() for _ in range(1 + MOST_TOGETHER)]
    enrollments = await _enroll_all(batcher, course, emails)
    assert {enrollment.course_id for enrollment in enrollments} == {course.id}
    assert len({enrollment.id for enrollment in enrollments}) == len(emails)
    # The first enrollment found none waiting, so it was sent alone.
    assert await _enrolled(course) == (set(emails), 2)


async def test_a_batch_has_a_maximum_size(course):
    batcher = EnrollmentBatcher()
    emails = [new_email() for _ in range(1 + 2 * MOST_TOGETHER + 1)]
    await _enroll_all(batcher, course, emails)
    assert await _enrolled(course) == (set(emails), 4)


async def test_a_student_in_several_concurrent_batches_is_enrolled_once(course):
    batcher = EnrollmentBatcher()
    emails = [new_email() for _ in range(20)]
    found = await _enroll_all(batcher, course, emails * 3)
    assert Counter(map(type, found)) == {Enrollment: 20, AlreadyEnrolled: 40}
    enrolled, _ = await _enrolled(course)
    assert enrolled == set(emails)
    totals = await course.connection.fetchrow(
        "SELECT sum(enrollments) AS enrollments, sum(students) AS students FROM enrollment_totals"
    )
    assert dict(totals) == {"enrollments": 20, "students": 20}


async def test_two_batches_with_the_same_students_do_not_deadlock(course):
    emails = sorted(new_email() for _ in range(9))
    async with course.connection.transaction():
        # Both batches reach this row halfway; without a common order they would deadlock there.
        await course.connection.execute(
            "INSERT INTO enrollments (id, student_email, course_id) "
            "VALUES (gen_random_uuid(), $1, $2)",
            emails[4],
            course.id,
        )
        both = [
            asyncio.create_task(write.insert_all(order, course.id))
            for order in (emails, emails[::-1])
        ]
        await asyncio.sleep(SOON_SECONDS)
        assert not any(each.done() for each in both)
    first, second = await asyncio.gather(*both)
    assert Counter(map(type, first + second)) == {Enrollment: 8, type(None): 10}


async def test_a_student_who_comes_during_a_batch_is_in_the_next_one(course, monkeypatch):
    is_at_work, may_go_on = asyncio.Event(), asyncio.Event()
    insert_all = write.insert_all

    async def held_up(*wanted):
        is_at_work.set()
        await may_go_on.wait()
        return await insert_all(*wanted)

    monkeypatch.setattr("services.enrollments.write.insert_all", held_up)
    batcher = EnrollmentBatcher()
    emails = [new_email() for _ in range(4)]
    before = [asyncio.create_task(batcher.enroll(email, course.id)) for email in emails[:3]]
    await is_at_work.wait()
    late = asyncio.create_task(batcher.enroll(emails[3], course.id))
    await asyncio.sleep(0)
    may_go_on.set()
    assert [type(enrollment) for enrollment in await asyncio.gather(*before, late)] == [
        Enrollment
    ] * 4
    assert await _enrolled(course) == (set(emails), 3)


async def test_other_work_runs_between_the_results_of_a_batch(course):
    batcher, rounds, answered_in = EnrollmentBatcher(), 0, []

    async def count_rounds():
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    async def enroll():
        await batcher.enroll(new_email(), course.id)
        answered_in.append(rounds)

    counting = asyncio.create_task(count_rounds())
    await asyncio.gather(*(enroll() for _ in range(1 + MOST_TOGETHER)))
    counting.cancel()
    assert len(set(answered_in)) == 1 + MOST_TOGETHER


async def test_a_refused_student_does_not_affect_the_rest_of_the_batch(course):
    batcher = EnrollmentBatcher()
    refused = "Not-In-Lower-Case@example.org"
    emails = [new_email() for _ in range(5)]
    *others, last = await _enroll_all(batcher, course, [*emails, refused])
    assert [type(enrollment) for enrollment in others] == [Enrollment] * 5
    assert isinstance(last, IntegrityError)
    enrolled, _ = await _enrolled(course)
    assert enrolled == set(emails)


async def test_a_course_deleted_meanwhile_is_unknown_to_the_whole_batch(course):
    batcher = EnrollmentBatcher()
    async with course.connection.transaction():
        await course.connection.execute("DELETE FROM courses")
        waiting = [asyncio.create_task(batcher.enroll(new_email(), course.id)) for _ in range(5)]
        await asyncio.sleep(SOON_SECONDS)
        assert not any(each.done() for each in waiting)
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in found] == [UnknownCourse] * 5


async def test_a_cancelled_caller_takes_no_slot_and_cancels_no_other(course):
    batcher = EnrollmentBatcher()
    async with course.connection.transaction():
        await course.connection.execute("SELECT FROM courses FOR UPDATE")
        first, _, third = emails = [new_email() for _ in range(3)]
        waiting = [asyncio.create_task(batcher.enroll(email, course.id)) for email in emails]
        await asyncio.sleep(SOON_SECONDS)
        waiting[1].cancel()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in found] == [Enrollment, asyncio.CancelledError, Enrollment]
    enrolled, _ = await _enrolled(course)
    assert enrolled == {first, third}


async def test_a_batch_whose_clients_have_all_gone_inserts_nothing(course):
    batcher = EnrollmentBatcher()
    first, gone, last = (new_email() for _ in range(3))
    async with course.connection.transaction():
        await course.connection.execute("SELECT FROM courses FOR UPDATE")
        waiting = [asyncio.create_task(batcher.enroll(each, course.id)) for each in (first, gone)]
        await asyncio.sleep(SOON_SECONDS)
        waiting[1].cancel()
    await waiting[0]
    await batcher.enroll(last, course.id)
    assert await _enrolled(course) == ({first, last}, 2)


async def test_a_client_that_goes_during_the_statement_leaves_the_others_their_responses(
    course, monkeypatch
):
    is_at_work, may_go_on = asyncio.Event(), asyncio.Event()
    insert_all = write.insert_all

    async def held_up(*wanted):
        is_at_work.set()
        await may_go_on.wait()
        return await insert_all(*wanted)

    monkeypatch.setattr("services.enrollments.write.insert_all", held_up)
    batcher = EnrollmentBatcher()
    emails = [new_email() for _ in range(4)]
    waiting = [asyncio.create_task(batcher.enroll(each, course.id)) for each in emails]
    await is_at_work.wait()
    waiting[2].cancel()
    await asyncio.sleep(0)
    may_go_on.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    kinds = [Enrollment, Enrollment, asyncio.CancelledError, Enrollment]
    assert [type(each) for each in found] == kinds
    assert await _enrolled(course) == (set(emails), 2)


async def test_a_caller_that_waits_too_long_gets_course_busy_and_the_next_succeed(course):
    batcher = EnrollmentBatcher(wait_seconds=0.05)
    async with course.connection.transaction():
        await course.connection.execute("SELECT FROM courses FOR UPDATE")
        first = asyncio.create_task(batcher.enroll(new_email(), course.id))
        await asyncio.sleep(0)
        found = await _enroll_all(batcher, course, [new_email() for _ in range(3)])
        assert [type(each) for each in found] == [CourseBusy] * 3
    await first
    assert isinstance(await batcher.enroll(new_email(), course.id), Enrollment)


async def test_a_database_error_reaches_every_caller_of_the_batch(course, monkeypatch):
    async def broken(*_):
        raise ConnectionResetError

    batcher = EnrollmentBatcher()
    monkeypatch.setattr("services.enrollments.write.insert_all", broken)
    first, *others = await _enroll_all(batcher, course, [new_email() for _ in range(4)])
    assert isinstance(first, Enrollment)
    assert [type(each) for each in others] == [ConnectionResetError] * 3
