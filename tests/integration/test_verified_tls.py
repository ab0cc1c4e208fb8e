"""With TLS the server is verified, and an unverified server receives no data."""

import asyncio
import ssl
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest
from celery import Celery
from flower.utils.broker import Broker as FlowerBroker
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from deploy.embedded.certificates import make_certificates
from deploy.embedded.servers import running
from infra import rate_limits
from infra.cache import SecondLevel
from infra.tls import broker_tls, management_api
from tests.factories import eventually

PASSWORD = "a-password-that-is-sent-to-no-stranger"
CHUNK = 65536


@pytest.fixture(scope="module")
async def valkey(tmp_path_factory):
    """The URL of a real Valkey."""
    async with running(tmp_path_factory.mktemp("tls"), {"broker"}) as servers:
        yield servers.environment["BROKER_URL"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Certificates of 127.0.0.1 and of another host."""
    folder = tmp_path_factory.mktemp("certificates")
    return {
        "of this host": make_certificates(folder, "ours"),
        "of another host": make_certificates(folder, "theirs", ("192.0.2.1",)),
    }


class TlsServer:
    """TLS in front of a server; records all bytes that come through."""

    def __init__(self, port):
        self.port = port
        self.received = bytearray()
        self.connections = 0


@asynccontextmanager
async def tls_server(files, target):
    """Serve TLS on a port of its own; forward to a target if there is one."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)

    async def carry(reader, writer, received=None):
        with suppress(OSError, ssl.SSLError):
            while data := await reader.read(CHUNK):
                if received is not None:
                    received += data
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader, writer):
        server.connections += 1
        with suppress(OSError, ssl.SSLError, asyncio.CancelledError):
            await writer.start_tls(context)
            if target is None:
                server.received += await reader.read(CHUNK)
                writer.close()
                return
            behind, ahead = await asyncio.open_connection(target.hostname, target.port)
            await asyncio.gather(carry(reader, ahead, server.received), carry(behind, writer))

    listener = await asyncio.start_server(serve, "127.0.0.1")
    server = TlsServer(listener.sockets[0].getsockname()[1])
    try:
        yield server
    finally:
        listener.close()


async def connect_cache(url):
    level = SecondLevel(url)
    try:
        return await level.is_connected()
    finally:
        await level.close()


async def connect_limits(url):
    redis = rate_limits.connect(url)
    try:
        return await redis.ping()
    except RedisError:
        return False
    finally:
        await redis.aclose()


def celery_of(url):
    address, use_ssl = broker_tls(url)
    return Celery(broker=address, set_as_current=False, config_source={"broker_use_ssl": use_ssl})


async def connect_broker(url):
    def ask():
        with celery_of(url).connection_for_write() as connection:
            try:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=2)
            except (OperationalError, *connection.connection_errors):
                return False
            return True

    return await asyncio.to_thread(ask)


async def connect_flower(url):
    address, use_ssl = broker_tls(url)
    broker = FlowerBroker(address, broker_options={}, broker_use_ssl=use_ssl)
    try:
        return bool(await broker.queues(["default"]))
    except (OSError, RedisError):
        return False


CLIENTS = {
    "cache": connect_cache,
    "limits": connect_limits,
    "broker": connect_broker,
    "Flower": connect_flower,
}


def address(server, target, authority=None):
    query = f"?ssl_ca_certs={authority}" if authority else ""
    return f"rediss://:{target.password}@127.0.0.1:{server.port}/0{query}"


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_verified_server_is_used(valkey, certificates, client):
    target, files = urlsplit(valkey), certificates["of this host"]
    async with tls_server(files, target) as server:
        url = address(server, target, files.authority)
        await eventually(lambda: CLIENTS[client](url))  # it has its own timeout
        assert target.password.encode() in server.received


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("stranger", ["of an unknown authority", "of another host"])
async def test_an_unverified_server_never_receives_the_password(
    valkey, certificates, client, stranger
):
    target = urlsplit(valkey)
    if stranger == "of another host":
        files = certificates["of another host"]
        authority = files.authority
    else:
        files, authority = certificates["of this host"], None
    async with tls_server(files, target) as server:
        assert not await CLIENTS[client](address(server, target, authority))
        assert server.connections
        assert server.received == b""


@pytest.mark.parametrize("stranger", ["of an unknown authority", "of another host"])
async def test_an_unverified_rabbitmq_receives_no_greeting(certificates, stranger):
    files = certificates["of this host"]
    query = ""
    if stranger == "of another host":
        files = certificates["of another host"]
        query = f"?ssl_ca_certs={files.authority}"
    async with tls_server(files, None) as server:
        url = f"amqps://app:{PASSWORD}@127.0.0.1:{server.port}//{query}"
        assert not await connect_broker(url)
        assert server.connections
        assert server.received == b""


async def test_a_verified_rabbitmq_receives_a_greeting(certificates):
    files = certificates["of this host"]
    async with tls_server(files, None) as server:
        url = f"amqps://app:{PASSWORD}@127.0.0.1:{server.port}//?ssl_ca_certs={files.authority}"
        assert not await connect_broker(url)  # it closes after the greeting
        assert server.received.startswith(b"AMQP")


def test_flower_uses_rabbitmq_over_tls():
    # Without a URL it would send the password to http://host:15672.
    assert management_api("amqps://app:p%40ss@broker.example.org//?ssl_ca_certs=/ca.pem") == (
        "https://app:p%40ss@broker.example.org:15671/api/"
    )
    assert management_api("amqps://broker.example.org/x") == (
        "https://broker.example.org:15671/api/"
    )
    for url in ("amqp://app:x@broker//", "rediss://broker/0"):
        assert management_api(url) is None
