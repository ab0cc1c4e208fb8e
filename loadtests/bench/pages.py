"""Puts the newest results into docs/performance.md, between its markers.

python -m loadtests.bench.pages
"""

import re

from loadtests.bench.report import RESULTS
from loadtests.bench.site import ROOT

PAGE = ROOT / "docs" / "performance.md"
# What a marker is called, and whose results it takes: `<!-- bench -->` … `<!-- end bench -->`.
KINDS = ("bench", "images", "profile")


def refresh() -> None:
    """Replace what is between the markers; a kind without results keeps what it has."""
    page = PAGE.read_text("utf-8")
    for kind in KINDS:
        found = sorted(RESULTS.glob(f"{kind}-20*.md"))
        if found:
            title, _, text = found[-1].read_text("utf-8").partition("\n")
            source = f"[{title.lstrip('# ')}](../loadtests/results/{found[-1].name})"
            # Headings of a result are two levels below the page's own.
            text = re.sub(r"^##", "####", text, flags=re.MULTILINE).strip()
            page = _between(page, kind, f"{source}: {text}")
    PAGE.write_text(page, "utf-8")


def _between(page: str, kind: str, text: str) -> str:
    begin, end = f"<!-- {kind} -->", f"<!-- end {kind} -->"
    head, found, rest = page.partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{PAGE.name} has no {begin} … {end}")
    return f"{head}{begin}\n{text}\n{end}{tail}"


if __name__ == "__main__":
    refresh()
