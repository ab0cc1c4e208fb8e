"""Puts the newest results into docs/performance.md, between its markers.

python -m loadtests.bench.pages
"""

import re
from pathlib import Path

from loadtests.bench.results import RESULTS, ROOT
from loadtests.load.shapes import SHAPES

PAGE = ROOT / "docs" / "performance.md"
# The markers, `<!-- bench -->` … `<!-- end bench -->`, and the results that go between them.
KINDS = (
    "bench",
    "paths",
    "profile",
    "images",
    "avif",
    "reads",
    "warming",
    "logins",
    "tasks",
    "cache-stress",
)
# One report a shape; the page shows its verdicts and picture.
LOAD = "load"
PICTURES = {"bench": ("bench", "growth")}
_LINK = "../loadtests/results"


def refresh(page: Path = PAGE, results: Path = RESULTS) -> None:
    """Replace what is between the markers; a kind without results keeps what it has."""
    text = page.read_text("utf-8")
    for kind in KINDS:
        if newest := _newest(results, kind):
            shown = [_whole(newest), *_pictures(page.parent / "images", kind)]
            text = _between(text, kind, "\n\n".join(shown))
    reports = [newest for shape in SHAPES if (newest := _newest(results, f"{LOAD}-{shape}"))]
    if reports:
        text = _between(text, LOAD, "\n\n".join(map(_verdicts, reports)))
    page.write_text(text, "utf-8")


def _newest(results: Path, kind: str) -> Path | None:
    found = sorted(results.glob(f"{kind}-20*.md"))
    return found[-1] if found else None


def _whole(path: Path) -> str:
    title, _, text = path.read_text("utf-8").partition("\n")
    # Headings of a result are two levels below the page's own.
    text = re.sub(r"^##", "####", text, flags=re.MULTILINE).strip()
    return f"[{title.lstrip('# ')}]({_LINK}/{path.name}): {text}"


def _pictures(folder: Path, kind: str) -> list[str]:
    names = PICTURES.get(kind, ())
    return [f"![{name}](images/{name}.svg)" for name in names if (folder / f"{name}.svg").exists()]


def _verdicts(path: Path) -> str:
    """Return the title, the first table, and the picture, if it is there."""
    title, _, text = path.read_text("utf-8").partition("\n")
    table = next((part for part in text.split("\n\n") if part.startswith("|")), "")
    parts = [f"[{title.lstrip('# ')}]({_LINK}/{path.name})", table.strip()]
    picture = path.with_suffix(".png")
    if picture.exists():
        parts.append(f"![{path.stem}]({_LINK}/{picture.name})")
    return "\n\n".join(parts)


def _between(page: str, kind: str, text: str) -> str:
    begin, end = f"<!-- {kind} -->", f"<!-- end {kind} -->"
    head, found, rest = page.partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"the page has no {begin} … {end}")
    return f"{head}{begin}\n{text}\n{end}{tail}"


if __name__ == "__main__":
    refresh()
