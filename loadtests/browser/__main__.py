"""python -m loadtests.browser: records in `headers.json` what Debian's Chromium sends."""

import asyncio
import json
import shutil
import sys
from contextlib import suppress
from typing import Any

from playwright.async_api import async_playwright

from loadtests.browser import CAPTURED, PAGE_PORT

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAccess-Control-Allow-Origin: *\r\n"
ALLOWED = b"Access-Control-Allow-Headers: *\r\nCache-Control: no-store\r\n\r\n"
# They belong to a connection or a request, not to a browser.
LEFT_OUT = frozenset({"host", "connection", "content-length"})
SCRIPT = """async (api) => {
    await fetch(api + '/fetch');
    await fetch(api + '/reload', {cache: 'reload'});
    await fetch(api + '/post', {
        method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{}'});
    await new Promise(done => {
        const image = new Image();
        image.onload = image.onerror = done;
        image.src = api + '/image';
    });
}"""


async def capture() -> dict[str, dict[str, str]]:
    """Return the headers of each kind of request."""
    found: dict[str, dict[str, str]] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                line, *lines = head.rstrip().split("\r\n")
                pairs = dict(each.split(": ", 1) for each in lines)
                await reader.readexactly(int(pairs.get("Content-Length", 0)))
                method, path, _ = line.split()
                kind = "preflight" if method == "OPTIONS" else path.strip("/")
                found[kind] = {
                    name: value for name, value in pairs.items() if name.lower() not in LEFT_OUT
                }
                writer.write(ANSWER + ALLOWED)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    api = await asyncio.start_server(serve, "127.0.0.1", 0)
    page = await asyncio.start_server(serve, "127.0.0.1", PAGE_PORT)
    async with api, page:
        await _visit(f"http://127.0.0.1:{api.sockets[0].getsockname()[1]}")
    return {kind: found[kind] for kind in ("fetch", "reload", "image", "post", "preflight")}


async def _visit(api: str) -> None:
    options: dict[str, Any] = {"executable_path": shutil.which("chromium")}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(args=["--no-sandbox"], **options)
        page = await browser.new_page()
        await page.goto(f"http://localhost:{PAGE_PORT}/")
        await page.evaluate(SCRIPT, api)
        await browser.close()


if __name__ == "__main__":
    captured = asyncio.run(capture())
    CAPTURED.write_text(json.dumps(captured, indent=2) + "\n", "utf-8")
    sys.stdout.write(f"{CAPTURED.name}: {', '.join(captured)}\n")
