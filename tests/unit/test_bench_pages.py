"""docs/performance.md gets the latest results, and pictures only where they exist."""

import re

import pytest

from loadtests.bench import pages
from loadtests.bench.results import ROOT

PNG = b"\x89PNG"


@pytest.fixture
def page(tmp_path):
    """A page with all markers, at the repository's path."""
    (tmp_path / "docs" / "images").mkdir(parents=True)
    (tmp_path / "results").mkdir()
    markers = (f"<!-- {kind} -->\n<!-- end {kind} -->" for kind in (*pages.KINDS, pages.LOAD))
    path = tmp_path / "docs" / "performance.md"
    path.write_text("\n\n".join(markers))
    return path


@pytest.fixture
def shown(page):
    def refresh() -> str:
        pages.refresh(page, page.parents[1] / "results")
        return page.read_text()

    return refresh


@pytest.fixture
def results(page):
    return page.parents[1] / "results"


def test_without_results_nothing_changes(page, shown):
    before = page.read_text()
    assert shown() == before


@pytest.mark.parametrize("kind", pages.KINDS)
def test_each_kind_shows_its_latest_result(kind, shown, results):
    (results / f"{kind}-2026-11-24.md").write_text("# Old, 2026-11-24\n\nold\n")
    (results / f"{kind}-2026-11-25.md").write_text("# New, 2026-11-25\n\n## Part\n\nfigures\n")
    link = f"[New, 2026-11-25](../loadtests/results/{kind}-2026-11-25.md)"
    expected = f"<!-- {kind} -->\n{link}: #### Part\n\nfigures\n<!-- end {kind} -->"
    assert expected in shown()
    assert expected in shown()  # a second run changes nothing
    assert "old" not in shown()


def test_pictures_of_the_benchmark_are_linked(page, shown, results):
    (results / "bench-2026-11-25.md").write_text("# Side by side, 2026-11-25\n\nfigures\n")
    assert "![" not in shown()
    (page.parent / "images" / "bench.svg").write_text("<svg/>")
    assert "![bench](images/bench.svg)" in shown()
    assert "growth.svg" not in shown()


def test_load_results_have_verdicts_and_a_picture_of_every_shape(shown, results):
    for shape in ("peak", "sustained"):
        text = "# Load test `{0}`, 2026-11-25: NOT met\n\nhere\n\n| what |\n|---|\n| {0} |\n\n## By"
        (results / f"load-{shape}-2026-11-25.md").write_text(text.format(shape))
    (results / "load-peak-2026-11-25.png").write_bytes(PNG)
    found = shown()
    assert found.index("| sustained |") < found.index("| peak |")
    assert "![load-peak-2026-11-25](../loadtests/results/load-peak-2026-11-25.png)" in found
    assert "load-sustained-2026-11-25.png" not in found
    assert "## By" not in found


def test_a_page_without_a_marker_is_an_error(page, shown, results):
    (results / "reads-2026-11-25.md").write_text("# Reads, 2026-11-25\n\nfigures\n")
    page.write_text("no markers")
    with pytest.raises(SystemExit, match="reads"):
        shown()


def test_the_page_of_the_repository_has_every_marker_and_no_broken_picture():
    text = pages.PAGE.read_text("utf-8")
    for kind in (*pages.KINDS, pages.LOAD):
        assert text.index(f"<!-- {kind} -->") < text.index(f"<!-- end {kind} -->")
    for link in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text):
        assert (ROOT / "docs" / link).exists(), link
