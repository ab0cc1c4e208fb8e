"""What `api.protocol` uses of Sanic's inner parts is there, and no other module uses them.

A release of Sanic that changes one of them fails here. A method that is listed with a digest is
overridden, and what it did is done there: compare its new text, then change the digest.
"""

import ast
import hashlib
import inspect
from pathlib import Path

import pytest
import sanic.http.http1
import sanic.server.protocols.base_protocol
import sanic.server.protocols.http_protocol
from sanic import Request, Sanic
from sanic.application.state import ApplicationServerInfo, ApplicationState
from sanic.constants import HTTPMethod
from sanic.http import Http, Stage
from sanic.http.constants import HTTP
from sanic.response import BaseHTTPResponse, HTTPResponse
from sanic.router import Router
from sanic.server.async_server import AsyncioServer
from sanic.server.protocols.base_protocol import SanicProtocol
from sanic.server.protocols.http_protocol import HttpProtocol

ROOT = Path(__file__).parents[2]
PROTOCOL = ROOT / "api" / "protocol"
PRIVATE_MODULES = ("sanic.http", "sanic.server", "sanic.application", "sanic.touchup")

# Classes, and the methods that are called or overridden, with their parameters.
METHODS = {
    Http: {
        "__init__": "self, protocol",
        "create_empty_request": "self",
        "error_response": "self, exception",
        "http1": "self",
        "http1_request_header": "self",
        "http1_response_header": "self, data, end_stream",
        "read": "self",
        "respond": "self, response",
    },
    HttpProtocol: {
        "__init__": "self, *, loop, app, signal, connections, state, unix, **kwargs",
        "close_if_idle": "self",
        "connection_made": "self, transport",
        "connection_task": "self",
        "data_received": "self, data",
        "send": "self, data",
    },
    SanicProtocol: {
        "abort": "self",
        "close": "self, timeout",
        "pause_writing": "self",
        "receive_more": "self",
        "resume_writing": "self",
    },
    Request: {
        "__init__": "self, url_bytes, headers, version, method, transport, app, head, stream_id",
        "receive_body": "self",
        "respond": "self, response, *, status, headers, content_type",
    },
    BaseHTTPResponse: {"send": "self, data, end_stream"},
    HTTPResponse: {"__init__": "self, body, status, headers, content_type"},
    Router: {"get": "self, path, method, host"},
    Sanic: {
        "_startup": "self",
        "handle_exception": "self, request, exception, run_middleware",
        "handle_request": "self, request",
    },
    AsyncioServer: {
        "after_start": "self",
        "after_stop": "self",
        "before_start": "self",
        "before_stop": "self",
        "close": "self",
        "start_serving": "self",
        "startup": "self",
    },
}

# The attributes that are read or set.
SLOTS = {
    Http: "_receive_more _send expecting_continue head_only keep_alive recv_buffer request "
    "request_body request_bytes request_bytes_left response response_func stage upgrade_websocket",
    HttpProtocol: "_http keep_alive_timeout recv_buffer request_handler request_timeout "
    "response_timeout state",
    SanicProtocol: "_can_write _data_received _time app conn_info transport",
    BaseHTTPResponse: "body content_type headers status stream",
    Request: "_ctx _response_middleware_started app conn_info head headers method raw_url route "
    "stream version",
}

# What is done in `api.protocol` in place of these, or by their rules.
DIGESTS = {
    (sanic.app, "Sanic.handle_request"): "804691bea6f76a23",
    (sanic.http.http1, "Http.http1"): "2579958e35af2974",
    (sanic.http.http1, "Http.http1_response_header"): "bd3193a3365bffff",
    (sanic.http.http1, "Http.read"): "b7140b96f7c515e6",
    (sanic.server.protocols.base_protocol, "SanicProtocol.receive_more"): "a70ee350e5a9ab72",
    (sanic.server.protocols.http_protocol, "HttpProtocol.check_timeouts"): "56dd4f76cc8e7da7",
    (sanic.server.protocols.http_protocol, "HttpProtocol.data_received"): "694ddc9cb9a2fee9",
    (sanic.server.protocols.http_protocol, "HttpProtocol.send"): "2b48c3ace19b14e2",
}


def _source(module, qualified: str) -> str:
    """Return the text of a method; at its start Sanic may have replaced the method itself."""
    owner, name = qualified.split(".")
    tree = ast.parse(inspect.getsource(module))
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == owner)
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    [method] = (
        node
        for each in classes
        for node in each.body
        if isinstance(node, functions) and node.name == name
    )
    return ast.unparse(method)


def _parameters(method) -> str:
    shown = []
    for each in inspect.signature(method).parameters.values():
        if each.kind is each.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        shown.append(f"**{each.name}" if each.kind is each.VAR_KEYWORD else each.name)
    return ", ".join(shown)


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [(owner, *each) for owner, methods in METHODS.items() for each in methods.items()],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_a_method_takes_what_it_is_given(owner, name, parameters):
    assert _parameters(getattr(owner, name)) == parameters


@pytest.mark.parametrize("owner", SLOTS, ids=lambda owner: owner.__name__)
def test_an_attribute_is_there(owner):
    known = {name for kind in owner.__mro__ for name in getattr(kind, "__slots__", ())}
    assert set(SLOTS[owner].split()) <= known


def test_stages_and_other_names_are_there():
    assert [stage.name for stage in Stage] == [
        *("IDLE", "REQUEST", "HANDLER", "RESPONSE", "FAILED"),
    ]
    assert HttpProtocol.HTTP_CLASS is Http
    assert HTTP.VERSION_1.value == 1
    assert "server_info" in ApplicationState.__dataclass_fields__
    assert "settings" in ApplicationServerInfo.__dataclass_fields__
    assert {"GET", "HEAD", "OPTIONS"} <= set(HTTPMethod)
    assert {"sock", "protocol", "backlog", "asyncio_server_kwargs"} <= set(
        inspect.signature(Sanic.create_server).parameters
    )


@pytest.mark.parametrize(
    ("module", "qualified"), DIGESTS, ids=lambda each: getattr(each, "__name__", each)
)
def test_a_method_whose_work_is_done_here_is_as_it_was(module, qualified):
    digest = hashlib.sha256(_source(module, qualified).encode()).hexdigest()[:16]
    assert digest == DIGESTS[module, qualified]


def _modules():
    rooms = ("api", "cli", "deploy", "infra", "models", "services", "tasks", "worker")
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")):
            if PROTOCOL not in path.parents:
                yield path, ast.parse(path.read_text())


def _uses(tree) -> set[str]:
    """Return what a module uses of Sanic's inner parts."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute) and _is_private(node):
            names = [f"sanic.http: {ast.unparse(node)}"]
        else:
            continue
        found |= {name for name in names if name.startswith(PRIVATE_MODULES)}
    return found


def _is_private(node: ast.Attribute) -> bool:
    owner = ast.unparse(node.value).rpartition(".")[2]
    is_sanics = owner in {"app", "request", "response", "router"}
    is_dunder = node.attr.startswith("__")
    return is_sanics and (
        (node.attr.startswith("_") and not is_dunder) or (owner, node.attr) == ("request", "stream")
    )


def test_no_other_module_uses_them():
    used = {str(path.relative_to(ROOT)): _uses(tree) for path, tree in _modules()}
    assert len(used) > 100
    assert {path: uses for path, uses in used.items() if uses} == {}


def test_a_use_is_seen():
    lines = "import sanic.server\nfrom sanic import http\nrequest.stream.read()\nrequest.app._x"
    assert len(_uses(ast.parse(lines))) == 4
