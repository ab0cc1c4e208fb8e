"""Task endpoints: clients watch tasks, admins list, retry and cancel them."""

import time

from sanic import Blueprint, HTTPResponse, Request
from sanic.response import empty, raw

from api.endpoint.operation import API_PREFIX, EVENT_STREAM, Access, Events, operation
from api.endpoint.replies import PAGE_HEADERS, link_headers, reply
from api.schemas.fields import TaskId
from api.schemas.requests import TaskQuery
from api.schemas.responses import TaskOut, TasksOut
from api.security import sse_limits
from api.security.rate_limits import Limits
from api.security.tokens import identify
from infra.queue import operations, queries
from infra.queue.errors import TaskNotCancellable, TaskNotFound, TaskNotRetryable
from infra.queue.queries import TaskFilters
from infra.queue.table import FINAL, TaskRow
from infra.queue.watch import Status, watching

KEEP_ALIVE_SECONDS = 15.0
_NOT_KEPT = {"Cache-Control": "no-store"}

tasks = Blueprint("tasks", url_prefix=f"{API_PREFIX}/tasks")
admin_tasks = Blueprint("admin-tasks", url_prefix=f"{API_PREFIX}/admin/tasks")


@operation(tasks, "GET /<task_id>", responses={200: TaskOut}, errors=(TaskNotFound,))
async def get_task(request: Request, task_id: TaskId) -> HTTPResponse:
    """Show a task

    Anyone with its id may see it; arguments and traceback are shown to admins only.
    """
    return reply(await _shown(request, await queries.get(task_id)))


@operation(
    tasks,
    "GET /<task_id>/events",
    responses={200: Events(TaskOut), 204: None},
    errors=(TaskNotFound,),
    takes={"Last-Event-ID": "The last event that was seen: it is not sent again."},
)
async def watch_task(request: Request, task_id: TaskId) -> HTTPResponse | None:
    """Watch a task

    Server-sent events, each the same object as `GET /tasks/{id}`, until it is final, or for five
    minutes. With the header `Last-Event-ID`, what was seen already is not sent again; 204 if that
    was the last event of all. A server that stops ends its streams with an event named `restart`,
    whose `retry` says in how many milliseconds to come back; its data say so, too, as
    `{"retry_milliseconds": 1500}`. A client may have 20 streams open on an instance.
    """
    task = await queries.get(task_id)
    seen = request.headers.get("last-event-id")
    if task.state in FINAL and seen == _event_id(task):
        # EventSource reconnects after a stream ends; only 204 stops it.
        return empty()
    if request.method == "HEAD":
        # Without this, Sanic aborts the stream and its connection at the first byte of the body.
        return raw(b"", headers=_NOT_KEPT, content_type=EVENT_STREAM)
    with request.app.ctx.limits.stream(request, await identify(request)):
        await _watch(request, task, seen)
    return None


async def _watch(request: Request, task: TaskRow, seen: str | None) -> None:
    limits: Limits = request.app.ctx.limits
    response = await request.respond(content_type=EVENT_STREAM, headers=_NOT_KEPT)
    # Sanic sends the head with the first bytes, so a comment opens the stream at once.
    await response.send(": watching\n\n")
    ends = time.monotonic() + sse_limits.MAX_SECONDS
    with watching(task.id) as watch:
        while True:
            event = _event_id(task)
            if event != seen:
                shown = (await _shown(request, task)).model_dump_json()
                await response.send(f"id: {event}\ndata: {shown}\n\n")
                seen = event
            left = ends - time.monotonic()
            if task.state in FINAL or left <= 0:
                break
            if await limits.streams.pause(watch.changed, min(KEEP_ALIVE_SECONDS, left)):
                await response.send(sse_limits.restart_event())
                break
            if watch.changed.is_set():
                status = await watch.next()
                if status is None or _event_id(status) != seen:
                    task = await queries.get(task.id)
            elif left > KEEP_ALIVE_SECONDS:
                await response.send(": still there\n\n")
    await response.eof()


def _event_id(task: TaskRow | Status) -> str:
    return f"{task.attempts}-{task.state}-{task.progress}"


@operation(admin_tasks, "GET", access=Access.ADMIN, responses={200: TasksOut}, headers=PAGE_HEADERS)
async def list_tasks(request: Request, query: TaskQuery) -> HTTPResponse:
    """List the tasks, the newest first"""
    states = frozenset({query.status}) if query.status else frozenset()
    filters = TaskFilters(states=states, name=query.name)
    page = await queries.list_page(filters, query.limit, query.cursor)
    headers = link_headers(request.path, query.links(page), await queries.count(filters))
    return reply(TasksOut.of(page.tasks, query.limit), headers=headers)


@operation(
    admin_tasks,
    "POST /<task_id>/retry",
    access=Access.ADMIN,
    responses={202: TaskOut},
    errors=(TaskNotFound, TaskNotRetryable),
)
async def retry_task(_request: Request, task_id: TaskId) -> HTTPResponse:
    """Queue a failed or cancelled task again; make a waiting one due now"""
    task = await operations.retry(task_id)
    return reply(TaskOut.of(task, whole=True), 202)


@operation(
    admin_tasks,
    "POST /<task_id>/cancel",
    access=Access.ADMIN,
    responses={202: TaskOut},
    errors=(TaskNotFound, TaskNotCancellable),
)
async def cancel_task(_request: Request, task_id: TaskId) -> HTTPResponse:
    """Cancel a task: a waiting one at once, a running one at its next report"""
    task = await operations.cancel(task_id)
    return reply(TaskOut.of(task, whole=True), 202)


async def _shown(request: Request, task: TaskRow) -> TaskOut:
    identity = await identify(request)
    return TaskOut.of(task, whole=identity is not None and identity.is_admin)
