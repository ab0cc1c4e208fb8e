"""No request is smuggled: nginx and the API agree on where each request ends.

Each attack is sent through nginx and to the API itself, followed by a request on the same
connection and, through nginx, by requests of other clients on the shared connections to the API.
"""

import asyncio
import json
from collections import Counter
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests import http2
from tests.proxy import nginx
from tests.smuggling import ATTACKS, HTTP2_ATTACKS, SECOND_BY_NGINX

pytestmark = pytest.mark.debian
ANSWER_SECONDS = 2.0
VICTIMS = 3
AT_ONCE = 12


class Client:
    """A connection that reads responses one by one."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, address, tls=None):
        parts = urlsplit(address)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port, ssl=tls))

    def send(self, data):
        with suppress(OSError):
            self._writer.write(data)

    async def id_of_response(self, *, is_head=False):
        """Return the id of the next response; "" if the connection ends, None without one."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                status, headers = 100, {}
                while status < 200:
                    head = await self._reader.readuntil(b"\r\n\r\n")
                    line, *lines = head.decode("latin-1").split("\r\n")[:-2]
                    status = int(line.split(" ")[1])
                    headers = {
                        name.lower(): value.strip()
                        for name, _, value in (each.partition(":") for each in lines)
                    }
                if not is_head and status not in {204, 304}:
                    await self._reader.readexactly(int(headers["content-length"]))
        except TimeoutError:
            return None
        except (asyncio.IncompleteReadError, OSError):
            return ""
        return headers["x-request-id"]

    def close(self):
        self._writer.close()


def canary(request_id):
    return (
        f"GET /api/v1/courses HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: {request_id}\r\n\r\n"
    ).encode()


async def attack(address, number, attack):
    """Return the ids of the responses to an attack and to the request behind it."""
    client = await Client.open(address)
    data = attack.numbered(number)
    client.send(data)
    ids = [await client.id_of_response(is_head=data.startswith(b"HEAD"))]
    client.send(canary(f"canary-{number:03}"))
    while ids[-1] and not ids[-1].startswith("canary"):
        ids.append(await client.id_of_response())
    client.close()
    return [each for each in ids if each]


async def victim(address, request_id, tls=None):
    """Assert that another client gets the response to its own request."""
    client = await Client.open(address, tls)
    client.send(canary(request_id))
    assert await client.id_of_response() == request_id
    client.close()


async def attack_all(address, has_victims):
    """Return what each attack was answered, by its name."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(number, name):
        async with slots:
            found = await attack(address, number, ATTACKS[name])
            if has_victims:
                ids = [f"victim-{number:03}-{each}" for each in range(VICTIMS)]
                await asyncio.gather(*(victim(address, each) for each in ids))
            return name, found

    numbered = enumerate(ATTACKS, 1)
    return dict(await asyncio.gather(*(one(number, name) for number, name in numbered)))


def faults_of(responses, seconds):
    """Return the attacks whose responses are not those to their requests, in order.

    `seconds` are those whose hidden request is a second one.
    """
    faults = {}
    for number, (name, ids) in enumerate(responses.items(), 1):
        told = [f"attack-{number:03}"]
        if name in seconds:
            told.append(f"smuggled-{number:03}")
        told.append(f"canary-{number:03}")
        # A server that refuses a request may not know its id, and closes the connection then.
        known = [each for each in ids if each.rpartition("-")[0] in KNOWN]
        if known != told[: len(known)] or ids[: len(known)] != known or len(ids) > len(known) + 1:
            faults[name] = ids
    return faults


SECOND = {name for name, each in ATTACKS.items() if each.is_second}
KNOWN = {"attack", "smuggled", "canary"}


def smuggled(lines, seconds):
    """Return the attacks whose hidden request was executed, although it is none."""
    names = dict(enumerate(ATTACKS, 1))
    numbers = {
        int(line["request_id"].rpartition("-")[2])
        for line in lines
        if line["request_id"].startswith("smuggled-")
    }
    return [names[number] for number in sorted(numbers) if names[number] not in seconds]


def lines_of(path):
    """Return the access log of an API from a position on."""
    lines = (json.loads(text) for text in path.read_text().splitlines())
    return [line for line in lines if line["event"] == "request"]


async def test_the_api_answers_each_request_and_no_hidden_one(service):
    log = service.data_dir / "logs" / "api.log"
    before = len(lines_of(log))
    responses = await attack_all(service.base_url, has_victims=False)
    await asyncio.sleep(0.5)
    faults = faults_of(responses, SECOND)
    assert not faults, "\n".join(f"{name}: {ids}" for name, ids in faults.items())
    assert smuggled(lines_of(log)[before:], SECOND) == []


async def test_nginx_and_the_api_see_the_same_requests(service, tmp_path):
    log = service.data_dir / "logs" / "api.log"
    before = len(lines_of(log))
    async with nginx(tmp_path, [service.base_url], tls="false") as proxy:
        responses = await attack_all(proxy.address, has_victims=True)
        seen = await proxy.lines()
    answered = lines_of(log)[before:]
    faults = faults_of(responses, SECOND | SECOND_BY_NGINX)
    assert not faults, "\n".join(f"{name}: {ids}" for name, ids in faults.items())
    assert smuggled(answered, SECOND | SECOND_BY_NGINX) == []
    # The API does not read the id of a head that is too large.
    passed_on = Counter(
        line["request_id"] for line in seen if line["upstream_status"] not in {"", "413"}
    )
    taken = Counter(
        line["request_id"]
        for line in answered
        if line["request_id"] in passed_on or line["request_id"].rpartition("-")[0] in KNOWN
    )
    assert taken == passed_on


async def test_http2_becomes_no_other_request_of_http1(service, tmp_path):
    log = service.data_dir / "logs" / "api.log"
    before = len(lines_of(log))
    async with nginx(tmp_path, [service.base_url]) as proxy:
        for number, (fields, body) in enumerate(HTTP2_ATTACKS.values(), 1):
            mark = b"-%03d" % number
            numbered = [
                (name.replace(b"-000", mark), value.replace(b"-000", mark))
                for name, value in fields
            ]
            await http2.exchange(proxy.address, proxy.tls(), numbered, body.replace(b"-000", mark))
            for each in range(VICTIMS):
                await victim(proxy.address, f"victim-{number:03}-{each}", proxy.tls())
        seen = await proxy.lines()
    answered = Counter(line["request_id"] for line in lines_of(log)[before:])
    assert not [each for each in answered if each.startswith("smuggled")]
    passed_on = Counter(line["request_id"] for line in seen if line["upstream_status"])
    assert {each: count for each, count in answered.items() if each in passed_on} == passed_on
    assert not [each for each in answered if each.startswith("attack") and each not in passed_on]
    assert passed_on["attack-001"] == 0
