"""Every statement on the durable queue's tables is in infra/queue."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLES = r"tasks|task_\w+"
STATEMENT = re.compile(rf"\b(?:FROM|INTO|UPDATE|JOIN|TABLE|ONLY)\s+(?:{TABLES})\b")
ROOMS = ("api", "cli", "infra", "models", "services", "tasks", "worker")
# Answers of the new cache know no tasks.
GOING = {"services/catalogue/read.py"}


def _with_a_statement() -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.suffix in {".py", ".sql"} and STATEMENT.search(path.read_text(encoding="utf-8"))
    }


def test_no_other_room_has_a_statement_on_tasks():
    found = _with_a_statement()
    assert {"infra/queue/leases.py", "infra/queue/publish.py"} <= found
    assert not {path for path in found - GOING if not path.startswith("infra/queue/")}
