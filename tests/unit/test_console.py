"""Tables drop columns instead of characters, and outside text cannot control a terminal."""

import pytest
from rich.console import Console

from cli.console import escape_controls, table

COLUMNS = ("id", "name", "state", "error")
ROW = ("01a2075e-644b-73b4-ad77-4537554e13f0", "images.process", "failed", "no " * 30)
DISPENSABLE = ("error", "state")


def printed(width: int, row: tuple[object, ...] = ROW) -> str:
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        console.print(table(console, COLUMNS, [row], dispensable=DISPENSABLE))
    return captured.get()


@pytest.mark.parametrize(
    ("width", "left_out"), [(200, ()), (80, ("error",)), (60, ("error", "state"))]
)
def test_columns_are_dropped_before_characters(width: int, left_out: tuple[str, ...]) -> None:
    text = printed(width)
    assert all(
        (value.strip() in text) != (name in left_out)
        for name, value in zip(COLUMNS, ROW, strict=True)
    )
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width


def test_a_narrow_terminal_shows_every_character_of_the_needed_columns() -> None:
    shown = printed(30)
    assert max(map(len, shown.splitlines())) <= 30
    assert all(shown.count(letter) >= "".join(ROW[:2]).count(letter) for letter in ROW[0] + ROW[1])


@pytest.mark.parametrize("text", ["[/x]", "[bold]x", "[link=http://x]y[/link]", ":smile:", "\\[a]"])
def test_markup_is_printed_as_text(text: str) -> None:
    assert text in printed(200, (text, "n", "s", "e"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\x9b31m", "\\x9b31m"),
        ("\ud800", "\\ud800"),
        ("Zoë 学生 [x]", "Zoë 学生 [x]"),
    ],
)
def test_unprintable_characters_are_escaped(text: str, shown: str) -> None:
    assert escape_controls(text) == shown
    assert shown in printed(200, (text, "n", "s", "e"))
