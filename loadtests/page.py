"""Pages of documentation of which a command writes a part, between two marks."""

from pathlib import Path


def write(page: Path, command: str, text: str) -> None:
    """Replace what stands between a command's marks.

    Raises:
        ValueError: the page has no such marks.

    """
    begin, end = (f"<!-- {command}: {word} -->\n" for word in ("begin", "end"))
    before, _, rest = page.read_text("utf-8").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{page} has no part of `{command}`")
    page.write_text(f"{before}{begin}{text}{end}{after}", "utf-8")
