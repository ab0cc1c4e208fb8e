"""Workflow endpoints: admins look at tasks that wait for each other."""

from sanic import Blueprint, HTTPResponse, Request

from api.endpoint.operation import API_PREFIX, Access, operation
from api.endpoint.replies import PAGE_HEADERS, link_headers, reply
from api.schemas.fields import WorkflowId
from api.schemas.requests import WorkflowQuery
from api.schemas.responses import WorkflowOut
from infra.queue import queries
from infra.queue.errors import WorkflowNotFound
from infra.queue.queries import TaskFilters
from infra.queue.workflows import predecessors_of, summary_of

workflows = Blueprint("workflows", url_prefix=f"{API_PREFIX}/workflows")


@operation(
    workflows,
    "GET /<workflow_id>",
    access=Access.ADMIN,
    responses={200: WorkflowOut},
    headers=PAGE_HEADERS,
    errors=(WorkflowNotFound,),
)
async def get_workflow(
    request: Request, workflow_id: WorkflowId, query: WorkflowQuery
) -> HTTPResponse:
    """Show a workflow

    The number of its tasks by where they stand, and a page of its tasks, the newest first, each
    with the tasks for which it waits.
    """
    workflow = await summary_of(workflow_id)
    filters = TaskFilters(workflow_id=workflow_id)
    page = await queries.list_page(filters, query.limit, query.cursor)
    after = await predecessors_of(task.id for task in page.tasks)
    headers = link_headers(request.path, query.links(page), workflow.total)
    return reply(WorkflowOut.of(workflow, page.tasks, after), headers=headers)
