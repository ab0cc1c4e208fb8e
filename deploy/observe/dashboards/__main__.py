"""`python -m deploy.observe.dashboards`: writes the dashboards; `--check` only compares."""

import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.observe.dashboards import DASHBOARDS, consoles, grafana

FOLDER = Path(__file__).resolve().parent.parent
PATTERNS = ("consoles/*.html", "grafana/*.json")


def rendered() -> dict[Path, str]:
    """Return the text of each file."""
    pages = {FOLDER / "consoles" / f"{each.name}.html": each for each in DASHBOARDS}
    documents = {FOLDER / "grafana" / f"{each.name}.json": each for each in DASHBOARDS}
    return {
        **{path: consoles.page(each, DASHBOARDS) for path, each in pages.items()},
        **{path: grafana.document(each) for path, each in documents.items()},
    }


def differences(texts: Mapping[Path, str]) -> list[Path]:
    """Return the files that are missing, different, or of no dashboard."""
    present = {path for pattern in PATTERNS for path in FOLDER.glob(pattern)}
    different = {
        path
        for path, text in texts.items()
        if path not in present or path.read_text(encoding="utf-8") != text
    }
    return sorted(different | (present - texts.keys()))


def main(*, check: bool) -> int:
    """Write the files, or name those that differ; return the exit code."""
    texts = rendered()
    different = differences(texts)
    for path in different:
        if check:
            name = path.relative_to(FOLDER.parent.parent)
            sys.stderr.write(f"{name} differs: run `python -m deploy.observe.dashboards`\n")
        elif path in texts:
            path.write_text(texts[path], encoding="utf-8")
        else:
            path.unlink()
    return 1 if check and different else 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
