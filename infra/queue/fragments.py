"""SQL on `tasks` for statements of the domain, which read tasks together with rows of their own."""

# The state of a task, and why it failed.
STATUS = "SELECT id, state, error FROM tasks"


def of_name(name: str) -> str:
    """Return a SELECT of the arguments and creation times of the tasks of a name.

    The name is no parameter: a plan for any name would not use the partial index of one.
    """
    return f"SELECT args, created_at FROM tasks WHERE name = '{name}'"  # noqa: S608  no input


def replayable(name: str, since: str) -> str:
    """Return a SELECT of the arguments of tasks that may still run, or be retried.

    `name` and `since` are parameters, as `$1`: a task that ended badly before is not retried.
    """
    return (
        f"SELECT args FROM tasks WHERE name = {name} AND state <> 'succeeded' "  # noqa: S608
        f"AND (finished_at IS NULL OR finished_at >= {since})"
    )
