"""README's example for front ends runs in a real browser on another origin."""

import asyncio
import re
from pathlib import Path

import pytest

from tests.browser import chromium

README = Path(__file__).parents[2] / "README.md"
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\nok"


def example(base_url: str) -> str:
    """Return README's example as a function that calls the service at this URL."""
    (code,) = re.findall(r"^```js\n(.*?)^```$", README.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert "http://localhost:8080" in code
    code = code.replace("http://localhost:8080", base_url)
    return f"async () => {{ {code}\n return {{ course, task }}; }}"


@pytest.fixture
async def front_end():
    """The URL of a page whose origin is not the service's."""

    async def show(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(PAGE)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(show, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_the_readme_example_runs_on_another_origin(service, client, front_end, host):
    async with chromium() as browser, await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(f"http://{host}:{front_end}/")
        done = await page.evaluate(example(service.base_url))
    assert done["task"]["status"] == "succeeded"
    shown = (await client.get(f"/api/v1/courses/{done['course']['id']}")).json()
    assert (shown["title"], shown["image"]["status"]) == ("Marine Biology", "ready")
