"""Outside text in terminals and logs."""

import ast
import json
import logging
from pathlib import Path

import pytest
import structlog

from cli.console import print_json, print_line
from infra.observability import logs
from infra.text import escape_json, escape_lines

HOSTILE = "[/x]\x1b[2J\x9b31m\u202egnp.exe\u2028\u2029\x85\x7f\r\n\U000e0041Zoë"


def _is_harmless(text: str) -> bool:
    return all(letter.isprintable() for letter in text.replace("\n", ""))


def test_escaped_json_has_the_same_meaning_and_controls_nothing():
    document = json.dumps({"login": HOSTILE}, ensure_ascii=False)
    shown = escape_json(document)
    assert _is_harmless(shown)
    assert json.loads(shown) == {"login": HOSTILE}
    assert "Zoë" in shown


def test_a_text_cannot_forge_a_line_of_output():
    text = "failed\nstate:  succeeded\r\x1b[1A"
    assert escape_lines(text) == "failed\n  state:  succeeded\\r\\x1b[1A"


def test_the_output_of_commands_has_no_control_characters(capsys):
    print_json([{"login": HOSTILE}])
    printed = capsys.readouterr().out
    assert _is_harmless(printed)
    assert json.loads(printed) == [{"login": HOSTILE}]
    print_line(f"error:  {HOSTILE}\nstate:  succeeded")
    printed = capsys.readouterr().out
    assert _is_harmless(printed)
    assert "\nstate" not in printed


@pytest.fixture
def configured(monkeypatch):
    """Restores the configuration of logging."""
    root = logging.getLogger()
    handlers, level, configuration = root.handlers[:], root.level, structlog.get_config()
    for name in ("_process", "_format"):
        monkeypatch.setattr(logs, name, getattr(logs, name))
    yield
    root.handlers[:], root.level = handlers, level
    structlog.configure(**configuration)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_the_log_has_no_control_characters(configured, capsys, log_format):
    logs.configure("INFO", log_format, process="test")
    log = logging.getLogger("test.text")
    try:
        raise ValueError(HOSTILE)  # noqa: TRY301  its message is the point
    except ValueError:
        logs.get_logger("test.text").exception("refused", actor=HOSTILE, details={"x": HOSTILE})
    log.warning("from a library: %s", HOSTILE)
    written = capsys.readouterr().err
    assert "refused" in written
    assert "from a library" in written
    colors = written.replace("\x1b[0m", "")
    for code in ("1", "2", "31", "32", "33", "34", "35", "36"):
        colors = colors.replace(f"\x1b[{code}m", "")
    assert _is_harmless(colors), colors


def test_only_one_module_prints():
    """`make lint` bans the functions; this test checks that only one module is exempt."""
    for path in Path("cli").glob("*.py"):
        calls = {
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
        }
        if path.name != "console.py":
            assert not calls & {"print", "typer.echo", "typer.secho", "Console"}, path
