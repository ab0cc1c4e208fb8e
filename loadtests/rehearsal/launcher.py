"""An API that calls itself RELEASE_VERSION and has the faults of the file RELEASE_FAULTS.

The file is JSON: `errors` and `tail` are shares of the requests, `delay` and `tail_delay` seconds.
"""

import asyncio
import json
import os
import random
from pathlib import Path
from typing import Any

from sanic import Request, Sanic

from infra import identity

_chance = random.Random()  # noqa: S311  a fault is no secret
VERSION = os.environ["RELEASE_VERSION"]
FAULTS = Path(os.environ["RELEASE_FAULTS"])

identity.version = lambda: VERSION  # type: ignore[assignment]

from api import middleware  # noqa: E402  it imports the version
from api.protocol.fast_path import FastPath  # noqa: E402
from cli.main import main  # noqa: E402

install, respond = middleware.install, FastPath.respond


def present_faults() -> dict[str, float]:
    """Return the faults as they are now."""
    faults: dict[str, float] = json.loads(FAULTS.read_text(encoding="utf-8"))
    return faults


async def fail() -> None:
    """Answer late, or not well."""
    faults = present_faults()
    late = faults.get("delay", 0)
    if _chance.random() < faults.get("tail", 0):
        late += faults["tail_delay"]
    await asyncio.sleep(late)
    if _chance.random() < faults.get("errors", 0):
        raise RuntimeError("an injected fault")


def install_faults(app: Sanic[Any, Any], settings: Any) -> None:
    """Install the middleware of the service, and the faults at the begin of a request."""
    install(app, settings)
    begin = app.ctx.begin

    async def begin_with_faults(request: Request) -> None:
        await begin(request)
        if not request.path.startswith("/health"):
            await fail()

    app.ctx.begin = begin_with_faults


def respond_without_faults(self: FastPath, data: Any, peer: Any) -> Any:
    """Leave the requests to the normal path while there are faults."""
    return None if present_faults() else respond(self, data, peer)


# Server processes are spawned: they import this module and apply its patches as well.
middleware.install = install_faults
FastPath.respond = respond_without_faults  # type: ignore[method-assign]
if __name__ == "__main__":
    main()
