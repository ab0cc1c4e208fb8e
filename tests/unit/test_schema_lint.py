"""New migrations are judged: each rule has statements that break it, and others that don't."""

import pytest

from deploy.schema import __main__ as command
from deploy.schema import lint as linter
from deploy.schema.lint import BASELINE, SquawkMissingError, lint, rule_names
from deploy.verdict import EXIT_NOT_CHECKED
from infra.db.migration_files import Migration, Phase, load

ADD = "ALTER TABLE courses ADD COLUMN credits smallint"
CHECK = "ALTER TABLE courses ADD CONSTRAINT ck CHECK ({} > 0) NOT VALID"
BUILD = "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix ON courses (title)"
NEW = "CREATE TABLE notes (id bigint PRIMARY KEY)"
BROKEN = [
    ("concurrently", BUILD),
    ("concurrently", "DROP INDEX CONCURRENTLY IF EXISTS ix"),
    ("concurrently", "CREATE INDEX ix ON courses (title)"),
    ("trigger", "CREATE TRIGGER t AFTER INSERT ON courses FOR EACH ROW EXECUTE FUNCTION f()"),
    ("trigger", "DROP TRIGGER t ON courses"),
    ("trigger", "ALTER TABLE courses DISABLE TRIGGER t"),
    (
        "replaced-function",
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1",
    ),
    ("rename", "ALTER INDEX ix_courses_title RENAME TO ix"),
    ("rename", "ALTER TABLE courses RENAME title TO name"),
    ("rename", "ALTER TABLE courses RENAME CONSTRAINT ck_courses_title TO ck"),
    ("rename", "ALTER TABLE courses SET SCHEMA other"),
    ("backfill", "UPDATE courses SET title = 'x'"),
    ("backfill", f"{NEW}; INSERT INTO notes SELECT 1 FROM courses"),
    ("backfill", "CREATE TABLE copies AS SELECT * FROM courses"),
    ("backfill", "WITH gone AS (DELETE FROM courses RETURNING id) SELECT * FROM gone"),
    ("opaque", "DO $$ BEGIN UPDATE courses SET title = 'x'; END $$"),
    ("opaque", "SELECT set_config('lock_timeout', '0', false)"),
    ("time-limits", "SET lock_timeout = 0"),
    ("time-limits", "LOCK TABLE courses"),
    ("contract", "ALTER TABLE courses DROP COLUMN title"),
    ("contract", "DROP TABLE courses"),
    ("contract", "ALTER TABLE courses ALTER COLUMN image_url SET NOT NULL"),
    ("tighter", CHECK.format("length(title)")),
    ("tighter", "CREATE UNIQUE INDEX ix ON courses (title)"),
    ("scan", f"{ADD} CHECK (credits > 0)"),
    ("locks-several-tables", f"{ADD}; ALTER TABLE tasks ADD COLUMN extra int"),
    ("locks-several-tables", "CREATE TABLE n (a uuid REFERENCES courses, b uuid REFERENCES tasks)"),
    ("syntax", "ALTER TABEL courses"),
    # What squawk knows.
    ("adding-required-field", f"{ADD} NOT NULL"),
    ("adding-field-with-default", "ALTER TABLE courses ADD key uuid DEFAULT gen_random_uuid()"),
    ("changing-column-type", "ALTER TABLE courses ALTER COLUMN title TYPE text"),
    ("constraint-missing-not-valid", f"{ADD}; ALTER TABLE courses ADD CHECK (credits > 0)"),
]
CLEAN = [
    ADD,
    f"{ADD} NOT NULL DEFAULT 0",
    f"{ADD}; {CHECK.format('credits')}",
    "ALTER TABLE courses VALIDATE CONSTRAINT ck",
    f"{NEW}; CREATE INDEX ix_notes ON notes (id); INSERT INTO notes VALUES (1)",
    f"{NEW}; CREATE TRIGGER t AFTER INSERT ON notes FOR EACH ROW EXECUTE FUNCTION f()",
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
]


def _migration(sql, phase=Phase.EXPAND, *, in_transaction=True, **exempt):
    return Migration("900_test.py", phase, in_transaction, sql, "", None, exempt)


def _rules(migration):
    return {each.rule for each in lint([migration]).get(migration.name, [])}


@pytest.mark.parametrize(("rule", "sql"), BROKEN)
def test_what_would_hurt_a_running_release_is_found(rule, sql):
    assert rule in _rules(_migration(sql))


@pytest.mark.parametrize("sql", CLEAN)
def test_what_hurts_no_release_passes(sql):
    assert _rules(_migration(sql)) == set()


def test_each_of_our_rules_is_tested():
    assert set(rule_names()) - {"exempt"} <= {rule for rule, _ in BROKEN}


@pytest.mark.parametrize(
    ("sql", "rules"),
    [
        (BUILD, set()),
        (f"{BUILD}; {BUILD}", {"concurrently"}),
        (BUILD.replace(" IF NOT EXISTS", ""), {"concurrently"}),
        (ADD, {"concurrently"}),
    ],
)
def test_outside_a_transaction_there_is_one_index(sql, rules):
    assert _rules(_migration(sql, in_transaction=False)) == rules


def test_what_only_the_release_before_used_goes_in_the_contract_phase():
    for sql in ("ALTER TABLE courses DROP COLUMN title", "DROP TABLE courses"):
        assert _rules(_migration(sql, Phase.CONTRACT)) == set()


def test_an_exemption_needs_a_reason_and_a_use():
    rename = "ALTER INDEX ix_courses_title RENAME TO ix"
    assert _rules(_migration(rename, rename="no code names it")) == set()
    assert _rules(_migration(rename, rename=" ")) == {"exempt"}
    assert _rules(_migration(ADD, rename="no code names it")) == {"exempt"}


def test_a_finding_has_the_line_of_its_statement():
    sql = f"-- ü\n{ADD};\n\nUPDATE courses\nSET credits = 1;"
    [finding] = lint([_migration(sql)])["900_test.py"]
    assert (finding.rule, finding.line) == ("backfill", 4)


def test_the_baseline_has_migrations_that_exist():
    assert {each.name for each in load()} >= BASELINE


def test_the_command_prints_findings_and_has_exit_codes(monkeypatch, capsys):
    assert command.main(["lint"]) == 0
    bad = _migration("UPDATE courses SET title = 'x'")
    monkeypatch.setattr(command, "load", lambda: [bad])
    assert command.main(["lint"]) == command.EXIT_FOUND
    assert "900_test.py: SQL line 1: backfill: " in capsys.readouterr().err
    monkeypatch.setattr(linter.shutil, "which", lambda *_, **__: None)
    with pytest.raises(SquawkMissingError):
        lint([bad])
    assert command.main(["lint"]) == EXIT_NOT_CHECKED
    assert "NOT CHECKED" in capsys.readouterr().err
