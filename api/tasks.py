"""The slow work, as clients watch it."""

from uuid import UUID

from sanic import Blueprint, HTTPResponse, Request

from api.operation import API_PREFIX, operation
from api.replies import reply
from api.schemas.fields import TaskId
from api.schemas.responses import TaskOut
from api.security import identify
from models import Role
from services import tasks as slow_work
from services.errors import TaskNotFound

tasks = Blueprint("tasks", url_prefix=f"{API_PREFIX}/tasks")


@operation(
    tasks,
    "GET",
    "/<task_id>",
    parameters={"task_id": TaskId},
    responses={200: TaskOut},
    errors=(TaskNotFound,),
)
async def get_task(request: Request, task_id: UUID) -> HTTPResponse:
    """Show a task

    Whoever holds its id may look; arguments and traceback are shown to admins only.
    """
    task = await slow_work.get(task_id)
    identity = identify(request)
    whole = identity is not None and identity.role is Role.ADMIN
    return reply(TaskOut.of(task, whole=whole))
