"""Renders the templates: `${NAME}` is a value of the parameters, `$name` one of nginx."""

import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from textwrap import indent

from deploy.nginx.checks import ParameterError
from deploy.nginx.parameters import BROTLI_MODULE, MODULES, Parameters

TEMPLATES = Path(__file__).with_name("templates")
UPSTREAM = "upstream.conf"
OF_A_RELEASE = "# Written by `enroll release`"
_PLACE = re.compile(r"(?P<indent>^ *)?\$\{(?P<name>[A-Z_]+)\}", re.MULTILINE)
_SECONDS_OF_MINUTE = 60


def render(parameters: Parameters) -> None:
    """Write nginx's files into the parameters' folder, each at once.

    An `upstream.conf` of `enroll release` stays: it has the weights of a release.

    Raises:
        OSError: the folder can't be written.

    """
    folder = Path(parameters.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in rendered(parameters).items():
        if name == UPSTREAM and _is_of_a_release(folder / name):
            continue
        new = folder / f"{name}.new"
        new.write_text(text, encoding="utf-8")
        new.replace(folder / name)


def _is_of_a_release(path: Path) -> bool:
    return path.exists() and path.read_text("utf-8").startswith(OF_A_RELEASE)


def rendered(parameters: Parameters) -> dict[str, str]:
    """Return the files by their names."""
    values = _values(parameters)
    return {
        template.name: _PLACE.sub(partial(_value, values), template.read_text("utf-8"))
        for template in sorted(TEMPLATES.glob("*.conf"))
    }


def _value(values: Mapping[str, str], place: re.Match[str]) -> str:
    """Return the value of a place, each line as far indented as the place."""
    return indent(values[place["name"]], place["indent"] or "")


def _upstream(addresses: tuple[str, ...]) -> str:
    """Return the servers of the upstream.

    A refused connection goes to the next server, and never excludes the first one: in a restart of
    the instances one after the other all would be excluded.
    """
    return "\n".join(f"server {address} max_fails=0;" for address in addresses)


def _values(parameters: Parameters) -> dict[str, str]:
    """Return what the templates name."""
    plain = {
        name.upper(): str(value)
        for name, value in vars(parameters).items()
        if isinstance(value, str | int)
    }
    return plain | {
        "NAME": parameters.name,
        "MODULES": _modules(parameters),
        "COMPRESSION": "include brotli.conf;" if parameters.brotli else "",
        "SITE": "include https.conf;" if parameters.tls else "include http.conf;",
        "HTTP": _listen(parameters.http_listen, "default_server"),
        "HTTPS": _listen(parameters.https_listen, "ssl http2"),
        "HTTPS_DEFAULT": _listen(parameters.https_listen, "ssl http2 default_server"),
        "UPSTREAM": _upstream(parameters.upstreams),
        "REAL_IP": "\n".join(f"set_real_ip_from {each};" for each in parameters.trusted_proxies),
        "OPERATORS": "\n".join(f"allow {each};" for each in parameters.operators),
        "EXEMPT": "\n".join(f"{each} 0;" for each in parameters.limit_exempt),
        "CORS": "\n".join(
            f'"~^{re.escape(each)}$" $http_origin;' for each in parameters.cors_origins
        ),
        "LIMIT_MINUTE": str(parameters.limit_rate * _SECONDS_OF_MINUTE),
    }


def _allow_origin(origin: str) -> str:
    # A plain string of a `map` would match in any case.
    return f'"~^{re.escape(origin)}$" $http_origin;'


def _modules(parameters: Parameters) -> str:
    module = MODULES / BROTLI_MODULE
    if not parameters.brotli:
        return ""
    if not module.exists():
        raise ParameterError(
            f"NGINX_BROTLI: there is no {module}; install libnginx-mod-http-brotli-filter,"
            " or set it to false"
        )
    return f"load_module {os.fspath(module)};"


def _listen(addresses: tuple[str, ...], options: str) -> str:
    return "\n".join(f"listen {address} {options};" for address in addresses)
