"""docs/errors.md lists each error code of the service once, with its status."""

import re
from pathlib import Path

from api.errors import TITLES
from services.errors import Code

DOC = Path(__file__).parents[2] / "docs/errors.md"
ROW = re.compile(r"^\| (\d{3}) \| `(\w+)` \| \S.* \|$", re.MULTILINE)


def test_each_code_is_in_the_table_once():
    rows = ROW.findall(DOC.read_text(encoding="utf-8"))
    assert sorted(code for _, code in rows) == sorted(Code)
    assert {int(status) for status, _ in rows} | {408} == set(TITLES)
