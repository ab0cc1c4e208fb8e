"""The phases of migrations: which are due, and which a release needs."""

import pytest

from infra.db.migration_files import MigrationError, Phase, due, load, required
from tests.migrating import add_migration, copy_migrations

EXPAND, CONTRACT = Phase


@pytest.fixture
def folder(tmp_path):
    return copy_migrations(tmp_path)


def _names(folder, phases):
    return [add_migration(folder, "SELECT 1", PHASE=str(phase)) for phase in phases]


@pytest.mark.parametrize(
    ("pending", "phase", "chosen"),
    [
        ([EXPAND, EXPAND, CONTRACT], EXPAND, 2),
        ([EXPAND, CONTRACT], None, 2),
        ([CONTRACT], EXPAND, 0),
        ([CONTRACT, CONTRACT], CONTRACT, 2),
        ([EXPAND], CONTRACT, 0),
        ([CONTRACT, EXPAND, CONTRACT], CONTRACT, 1),
        ([], EXPAND, 0),
    ],
)
def test_a_phase_applies_the_leading_migrations_of_its_kind(folder, pending, phase, chosen):
    names = _names(folder, pending)
    added = [each for each in load(folder) if each.name in names]
    assert [each.name for each in due(added, phase)] == names[:chosen]


@pytest.mark.parametrize(
    ("pending", "phase", "blocking", "command"),
    [
        ([EXPAND, CONTRACT, EXPAND], EXPAND, 1, "--phase contract"),
        ([EXPAND, CONTRACT], CONTRACT, 0, "--phase expand"),
    ],
)
def test_a_phase_does_not_overtake_the_other(folder, pending, phase, blocking, command):
    names = _names(folder, pending)
    added = [each for each in load(folder) if each.name in names]
    with pytest.raises(MigrationError) as refused:
        due(added, phase)
    assert names[blocking] in str(refused.value)
    assert command in str(refused.value)


def test_a_release_needs_its_last_expanding_migration(folder):
    names = _names(folder, [EXPAND, CONTRACT, CONTRACT])
    assert required(folder) == names[0]
    _names(folder, [EXPAND])
    assert required(folder) not in names


def test_a_migration_expands_unless_it_says_otherwise(folder):
    add_migration(folder, "SELECT 1")
    assert load(folder)[-1].phase is EXPAND


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("async def upgrade(db):\n    return ''", "has no MODELS_STATE"),
        ("MODELS_STATE = ''", "has no upgrade"),
        (
            "PHASE = 'later'\nMODELS_STATE = ''\nasync def upgrade(db):\n    return ''",
            "PHASE must be expand or contract",
        ),
        (
            "import asyncio\nMODELS_STATE = ''\nasync def upgrade(db):\n    await asyncio.sleep(0)",
            "must return SQL and await nothing",
        ),
    ],
)
def test_a_file_that_is_no_migration_is_named(folder, text, fault):
    (folder / "901_wrong.py").write_text(text)
    with pytest.raises(MigrationError, match=fault) as refused:
        load(folder)
    assert str(refused.value).startswith("901_wrong.py")
