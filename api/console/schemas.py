"""The queries and forms of the console."""

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from api.console.pages import HOME, Form
from api.schemas import cursors
from api.schemas.cursors import CursorField
from api.schemas.fields import Name, NameOfTask, QueueName, WorkflowId
from infra.queue.hooks import Operation
from infra.queue.queries import Cursor, TaskFilters
from models import TaskState
from services.errors import Code
from services.fields import refuse

OWN_PAGES = (f"{HOME}/", f"{HOME}?", "/console/queues/", "/console/workflows/")
MOST_IN_BULK = 1_000
MAX_MINUTES = 366 * 24 * 60
# By operation: the states of the tasks of a workflow that it changes.
OF_WORKFLOW = {
    Operation.RETRY: ("failed", "cancelled"),
    Operation.CANCEL: ("queued", "running", "waiting"),
}
# The states of tasks that an operation can change; without a filter it is meant for the first.
OPERABLE = {
    Operation.RETRY: (TaskState.FAILED, TaskState.CANCELLED, TaskState.QUEUED),
    Operation.CANCEL: (TaskState.QUEUED, TaskState.RUNNING),
}


def _own_page(value: str) -> str:
    # Another value could lead to another site.
    is_own = value == HOME or value.startswith(OWN_PAGES)
    return value if is_own else HOME


def _bulk_operation(value: Operation) -> Operation:
    if value not in OPERABLE:
        choices = ", ".join(OPERABLE)
        raise refuse(Code.NOT_ALLOWED, f"Operation must be one of: {choices}")
    return value


def _ids(value: Any) -> Any:
    return value.split() if isinstance(value, str) else value


OwnPage = Annotated[str, AfterValidator(_own_page)]
BulkOperation = Annotated[Operation, AfterValidator(_bulk_operation)]


class LoginQuery(BaseModel):
    """Where to go after the login."""

    model_config = ConfigDict(frozen=True)

    next: OwnPage = HOME


class LoginForm(Form):
    """Name and password of an account."""

    username: Name
    password: Annotated[str, Field(max_length=1024)]
    next: OwnPage = HOME


class FilterQuery(BaseModel):
    """Which tasks a page shows."""

    model_config = ConfigDict(frozen=True)

    state: TaskState | None = None
    name: NameOfTask | None = None
    queue: QueueName | None = None
    workflow: WorkflowId | None = None

    def filters(self) -> TaskFilters:
        """Return the filters of the tasks."""
        states = frozenset({self.state} if self.state else ())
        return TaskFilters(states, self.name, self.queue, self.workflow)

    def parameters(self) -> dict[str, str]:
        """Return the parameters of an address that has the same filters."""
        names = {"state", "name", "queue", "workflow"}
        return self.model_dump(mode="json", include=names, exclude_none=True)


class TasksQuery(FilterQuery):
    """A page of tasks; `live` pages refresh themselves."""

    cursor: CursorField | None = None
    live: bool = True

    def link(self, *, cursor: Cursor | None = None, live: bool | None = None) -> dict[str, str]:
        """Return the parameters of another page of the same filters."""
        is_live = self.live if live is None else live
        at = {"cursor": cursors.encode(cursor)} if cursor else {}
        return self.parameters() | at | ({} if is_live else {"live": "false"})


class BulkQuery(FilterQuery):
    """What to do to all tasks that match."""

    operation: BulkOperation

    def meant(self) -> "BulkQuery":
        """Return the same with a state, for no operation fits tasks of every state."""
        return self.model_copy(update={"state": self.state or OPERABLE[self.operation][0]})


class BulkForm(Form):
    """The confirmed operation, and the tasks that the confirmation counted."""

    operation: BulkOperation
    ids: Annotated[list[UUID], BeforeValidator(_ids), Field(min_length=1, max_length=MOST_IN_BULK)]


class NoticeQuery(BaseModel):
    """What a form has just done, for the page after it."""

    model_config = ConfigDict(frozen=True)

    done: Annotated[str, Field(pattern="^(retried|cancelled|paused|resumed)$")] | None = None
    live: bool = True


class PauseForm(Form):
    """How long a queue is paused; without minutes until it is resumed."""

    minutes: Annotated[int, Field(ge=1, le=MAX_MINUTES)] | None = None

    def duration(self) -> timedelta | None:
        """Return the duration of the pause."""
        return timedelta(minutes=self.minutes) if self.minutes else None
