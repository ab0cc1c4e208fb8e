"""Writes `templates/routes.conf`, by which nginx's log names routes as the API's log does.

`python -m deploy.nginx.routes` needs the service's environment, unlike the rest of this package.
"""

import re
from pathlib import Path

from api.app import create_app
from infra.observability import metrics
from infra.settings import Settings

FILE = Path(__file__).with_name("templates") / "routes.conf"
_HEAD = "# Written by `python -m deploy.nginx.routes` from the API's routes."
# What nginx answers itself.
_OWN = ("/.well-known/acme-challenge/<token:str>", "/status")
_PARAMETER = re.compile(r"<\w+:(\w+)>")


def routes_conf(routes: list[str]) -> str:
    """Return the map from paths to routes."""
    fixed = [f"    {each} {each};" for each in routes if "<" not in each]
    others = [f'    "~^{_pattern(each)}$" "{each}";' for each in routes if "<" in each]
    default = f"    default {metrics.NO_ROUTE};"
    lines = [_HEAD, "map $request_path $route {", default, *fixed, *others, "}"]
    return "\n".join(lines) + "\n"


def routes() -> list[str]:
    """Return nginx's own routes, and those of an API that also serves the images."""
    app = create_app(Settings(_env_file=None, storage_url="memory://"))
    return sorted({*_OWN, *(f"/{route.path}" for route in app.router.routes)})


def _pattern(route: str) -> str:
    literals = _PARAMETER.split(route)[::2]
    kinds = _PARAMETER.findall(route)
    parts = [re.escape(literals[0])]
    for kind, literal in zip(kinds, literals[1:], strict=True):
        parts += [".+" if kind == "path" else "[^/]+", re.escape(literal)]
    return "".join(parts)


if __name__ == "__main__":
    FILE.write_text(routes_conf(routes()))
