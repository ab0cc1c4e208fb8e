"""The pages of the console: login, queues and tasks; each calls what the API's routes call."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

from sanic import HTTPResponse, Request

from api.console import sessions
from api.console.drawing import draw
from api.console.pages import HOME, LOGIN, console, page, show, to
from api.console.schemas import (
    MOST_IN_BULK,
    OF_WORKFLOW,
    OPERABLE,
    BulkForm,
    BulkQuery,
    LoginForm,
    LoginQuery,
    NoticeQuery,
    PauseForm,
    TasksQuery,
)
from api.schemas.fields import QueueName, TaskId, WorkflowId
from api.security import logins
from infra.queue import operations, queries, workflows
from infra.queue.errors import QueueNotFound
from infra.queue.graphs import Graph, graph_of
from infra.queue.hooks import Operation
from infra.queue.stats import UNASSIGNED, QueueOverview, overview
from infra.queue.table import FINAL
from infra.rate_limits.buckets import RateClass
from services import queues

__all__ = ["console"]

PAGE_LIMIT = 50
WORKFLOWS = "/console/workflows"
_SHOWN_IN_BULK = 10
_ACTS = {Operation.RETRY: operations.retry, Operation.CANCEL: operations.cancel}


@page("GET /login", is_public=True)
async def show_login(request: Request, query: LoginQuery) -> HTTPResponse:
    """Ask for name and password."""
    return show(request, "login.html", next=query.next, message=None)


@page("POST /login", kind=RateClass.LOGINS, is_public=True)
async def log_in(request: Request, form: LoginForm) -> HTTPResponse:
    """Open a session, with the limits and records of the API's login."""
    request.ctx.next = form.next
    logged_in = await logins.log_in(request, form.username, form.password, admins_only=True)
    response = to(form.next)
    sessions.set_token(request, response, logged_in)
    return response


@page("POST /logout")
async def log_out(request: Request) -> HTTPResponse:
    """End the session."""
    await logins.log_out(request, request.ctx.identity.session_id)
    response = to(LOGIN)
    sessions.clear_token(request, response)
    return response


@page("GET /tasks")
async def show_tasks(request: Request, query: TasksQuery) -> HTTPResponse:
    """Show the queues, and a page of the tasks that match."""
    known, names = await overview()
    found = await queries.list_page(query.filters(), PAGE_LIMIT, query.cursor)
    bulk = _operations(query)
    return show(
        request, "tasks.html", query=query, queues=known, names=names, page=found, bulk=bulk
    )


def _operations(query: TasksQuery) -> list[BulkQuery]:
    """Return what can be done to all tasks of these filters."""
    return [
        BulkQuery(operation=operation, **query.parameters())
        for operation, states in OPERABLE.items()
        if query.state is None or query.state in states
    ]


@page("GET /tasks/<task_id>")
async def show_task(request: Request, task_id: TaskId, query: NoticeQuery) -> HTTPResponse:
    """Show the life of a task."""
    task = await queries.get(task_id)
    graph = await graph_of(task.workflow_id, task_id) if task.workflow_id else None
    is_open = task.state not in FINAL or (graph is not None and graph.is_open)
    possible = [each for each, states in OPERABLE.items() if task.state in states]
    shown = _shown(query, graph, possible, is_live=is_open)
    return show(request, "task.html", task=task, **shown)


@page("POST /tasks/<task_id>/retry")
async def retry(_request: Request, task_id: TaskId) -> HTTPResponse:
    """Queue a task again."""
    await operations.retry(task_id)
    return to(f"{HOME}/{task_id}", done="retried")


@page("POST /tasks/<task_id>/cancel")
async def cancel(_request: Request, task_id: TaskId) -> HTTPResponse:
    """Cancel a task."""
    await operations.cancel(task_id)
    return to(f"{HOME}/{task_id}", done="cancelled")


@page("GET /tasks/bulk")
async def confirm_bulk(request: Request, query: BulkQuery) -> HTTPResponse:
    """Say how many tasks an operation would change, and ask."""
    meant = query.meant()
    ids = await queries.list_ids(meant.filters(), MOST_IN_BULK + 1)
    newest = await queries.list_tasks(meant.filters(), _SHOWN_IN_BULK)
    counted, are_more = ids[:MOST_IN_BULK], len(ids) > MOST_IN_BULK
    return show(request, "bulk.html", query=meant, tasks=newest, ids=counted, are_more=are_more)


@page("POST /tasks/bulk")
async def do_bulk(request: Request, form: BulkForm) -> HTTPResponse:
    """Change the tasks that the confirmation counted, and say what came of it."""
    refusals = await operations.for_each(_ACTS[form.operation], form.ids)
    done = len(form.ids) - len(refusals)
    return show(request, "bulk_done.html", form=form, done=done, refusals=refusals)


def _shown(
    query: NoticeQuery, graph: Graph | None, possible: list[Operation], *, is_live: bool
) -> dict[str, Any]:
    """Return what the page of a task and that of a workflow have in common."""
    return {
        "notice": query.done,
        "is_live": query.live and is_live,
        "graph": graph,
        "drawing": draw(graph) if graph and not graph.is_large else None,
        "operations": possible,
    }


@page("GET /workflows/<workflow_id>")
async def show_workflow(
    request: Request, workflow_id: WorkflowId, query: NoticeQuery
) -> HTTPResponse:
    """Show a workflow as a graph, and what can be done to the whole."""
    graph = await graph_of(workflow_id)
    possible = [
        each for each, states in OF_WORKFLOW.items() if any(graph.counts[s] for s in states)
    ]
    shown = _shown(query, graph, possible, is_live=graph.is_open and not graph.is_large)
    return show(request, "workflow.html", workflow_id=workflow_id, **shown)


@page("GET /workflows/<workflow_id>/retry")
async def confirm_workflow_retry(request: Request, workflow_id: WorkflowId) -> HTTPResponse:
    """Say how many tasks a retry of a workflow would change, and ask."""
    return await _confirm_workflow(request, workflow_id, Operation.RETRY)


@page("GET /workflows/<workflow_id>/cancel")
async def confirm_workflow_cancel(request: Request, workflow_id: WorkflowId) -> HTTPResponse:
    """Say how many tasks would be cancelled with a workflow, and ask."""
    return await _confirm_workflow(request, workflow_id, Operation.CANCEL)


async def _confirm_workflow(
    request: Request, workflow_id: UUID, operation: Operation
) -> HTTPResponse:
    graph = await graph_of(workflow_id)
    counts = {state: graph.counts[state] for state in OF_WORKFLOW[operation] if graph.counts[state]}
    return show(
        request,
        "workflow_confirm.html",
        workflow_id=workflow_id,
        operation=operation,
        counts=counts,
        is_large=graph.is_large,
    )


@page("POST /workflows/<workflow_id>/retry")
async def retry_workflow(_request: Request, workflow_id: WorkflowId) -> HTTPResponse:
    """Retry the tasks of a workflow that failed or were cancelled."""
    await workflows.retry(workflow_id)
    return to(f"{WORKFLOWS}/{workflow_id}", done="retried")


@page("POST /workflows/<workflow_id>/cancel")
async def cancel_workflow(_request: Request, workflow_id: WorkflowId) -> HTTPResponse:
    """Cancel the tasks of a workflow that have not ended."""
    await workflows.cancel(workflow_id)
    return to(f"{WORKFLOWS}/{workflow_id}", done="cancelled")


@page("GET /queues/<queue>")
async def show_queue(request: Request, queue: QueueName, query: NoticeQuery) -> HTTPResponse:
    """Show a queue, and the forms that pause and resume it."""
    return show(request, "queue.html", queue=await _known(queue), notice=query.done)


@page("POST /queues/<queue>/pause")
async def pause(_request: Request, queue: QueueName, form: PauseForm) -> HTTPResponse:
    """Let no more tasks of a queue start."""
    await _known(queue)
    await queues.pause(queue, form.duration())
    return to(f"/console/queues/{quote(queue, safe='')}", done="paused")


@page("POST /queues/<queue>/resume")
async def resume(_request: Request, queue: QueueName) -> HTTPResponse:
    """Let tasks of a queue start again."""
    await queues.resume(queue)
    return to(f"/console/queues/{quote(queue, safe='')}", done="resumed")


async def _known(name: str) -> QueueOverview:
    for each in (await overview())[0]:
        if each.stats.queue == name != UNASSIGNED:
            return each
    raise QueueNotFound
