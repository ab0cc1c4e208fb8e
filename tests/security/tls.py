"""TLS in front of the embedded PostgreSQL, which has none; production requires it."""

import asyncio
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

from tests.streams import carry

SSL_REQUEST = struct.pack("!ii", 8, 80877103)


def make_certificate(folder: Path, name: str = "IP:127.0.0.1") -> tuple[Path, Path]:
    """Return a self-signed certificate and its key for a name."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    made += ["-nodes", "-days", "2", "-subj", "/CN=test", "-addext", f"subjectAltName={name}"]
    files = ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run([*made, *files], check=True, capture_output=True)
    return certificate, key


@asynccontextmanager
async def tls_database(url: str, folder: Path) -> AsyncIterator[str]:
    """Yield the URL of the same database behind TLS, with `sslmode=verify-full`."""
    target = urlsplit(url)
    certificate, key = make_certificate(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = (OSError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with closing(writer), suppress(*ended):
            assert await reader.readexactly(len(SSL_REQUEST)) == SSL_REQUEST
            writer.write(b"S")
            await writer.start_tls(context)
            behind, ahead = await asyncio.open_connection(target.hostname, target.port)
            await asyncio.gather(carry(reader, ahead), carry(behind, writer))

    server = await asyncio.start_server(serve, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    account = target.netloc.rpartition("@")[0]
    query = f"sslmode=verify-full&sslrootcert={certificate}"
    yield f"postgresql://{account}@127.0.0.1:{port}{target.path}?{query}"
    server.close()
