"""The build of the wheel renames imports of ours, and refuses what it can't rename."""

import ast

import pytest
from setuptools.errors import SetupError

from deploy.wheel import relocate

PAGE = '''"""Says where `infra.db` is: "infra.db"."""

import json

import infra.db
import infra.db as database, json as text
from infra import (
    db,
)
from infra.db import open as öffne; from json import dumps
from infrared import light


def late():
    from infra.db import close  # "infra.db"
    return close, qualified("infra.db"), "infra", "infra.none", 'infra/db'
'''


def _package(folder, page):
    (folder / "infra").mkdir()
    (folder / "infra" / "__init__.py").touch()
    (folder / "infra" / "db.py").write_text("NAME = __name__\n")
    (folder / "settings.py").write_text("from infra.db import NAME\n")
    (folder / "course_enrollment").mkdir()
    (folder / "course_enrollment" / "__init__.py").write_text("import settings\n")
    (folder / "infra" / "page.py").write_text(page, "utf-8")
    relocate(folder)
    return (folder / "course_enrollment" / "infra" / "page.py").read_text("utf-8")


def test_imports_of_ours_get_the_name_and_nothing_else_changes(tmp_path):
    text = _package(tmp_path, PAGE)
    assert [path.name for path in tmp_path.iterdir()] == ["course_enrollment"]
    renamed = [
        (old, new)
        for old, new in zip(PAGE.splitlines(), text.splitlines(), strict=True)
        if old != new
    ]
    assert renamed == [
        ("import infra.db", "import course_enrollment.infra.db"),
        (
            "import infra.db as database, json as text",
            "import course_enrollment.infra.db as database, json as text",
        ),
        ("from infra import (", "from course_enrollment.infra import ("),
        (
            "from infra.db import open as öffne; from json import dumps",
            "from course_enrollment.infra.db import open as öffne; from json import dumps",
        ),
        (
            '    from infra.db import close  # "infra.db"',
            '    from course_enrollment.infra.db import close  # "infra.db"',
        ),
    ]
    ast.parse(text)
    ours = (tmp_path / "course_enrollment" / "__init__.py").read_text()
    assert ours == "import course_enrollment.settings\n"


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ('MODULE = "infra.db"\n', r"infra/page.py:1: 'infra.db' needs qualified\(\)"),
        ("import infra.db\nprint(infra.db)\n", r"infra/page.py:2: infra of an import without"),
    ],
)
def test_what_can_not_be_renamed_is_refused(tmp_path, page, fault):
    with pytest.raises(SetupError, match=fault):
        _package(tmp_path, page)
