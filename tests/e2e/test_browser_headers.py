"""The headers that load tests send are those that a browser sends today."""

import shutil

from loadtests.browser import headers
from loadtests.browser.__main__ import capture
from tests.absent import is_absent


async def test_the_recorded_headers_are_those_of_a_browser():
    if shutil.which("chromium") is None:
        is_absent("chromium", "chromium")
    for kind, found in (await capture()).items():
        assert found.keys() == headers(kind).keys()
        # An origin is on the fast path only where CORS allows it, as the recorded one is.
        assert found.get("Origin") == headers(kind).get("Origin")
