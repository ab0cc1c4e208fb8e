"""SQL on `tasks` that statements of the domain embed, to read tasks together with their rows."""

# The states of tasks, and the errors of failed ones.
STATUS = "SELECT id, state, error FROM tasks"


def of_name(name: str) -> str:
    """Return a SELECT of the arguments and creation times of the tasks with a name.

    The name is a literal: a plan with a parameter could not use the partial index of one name.
    """
    return f"SELECT args, created_at FROM tasks WHERE name = '{name}'"  # noqa: S608  no input


def replayable(name: str, since: str) -> str:
    """Return a SELECT of the arguments of tasks that may still run, or be retried.

    `name` and `since` are placeholders such as `$1`. A task that failed or was cancelled before
    `since` is not retried.
    """
    return (
        f"SELECT args FROM tasks WHERE name = {name} AND state <> 'succeeded' "  # noqa: S608  constants only
        f"AND (finished_at IS NULL OR finished_at >= {since})"
    )
