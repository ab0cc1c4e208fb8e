"""Sanic's protocol, with bounds on the bytes that wait for a client that does not read."""

import asyncio
import math
import time
from typing import Any

from sanic import Request
from sanic.exceptions import RequestCancelled

from api.endpoint.operation import FORM_OVERHEAD_BYTES
from api.protocol.http1 import BoundedHttp
from api.protocol.slow_clients import SlowClientProtocol
from infra.observability import metrics


class FlowControlProtocol(SlowClientProtocol):
    """Writes no faster than the client reads; closes the connection of a client that stops reading.

    `sending` is the body that is being sent; the cache shares its bytes.
    """

    HTTP_CLASS = BoundedHttp
    __slots__ = ("_buffers", "max_body_bytes", "sending")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        context = self.app.ctx
        self.max_body_bytes: int = context.settings.max_upload_bytes + FORM_OVERHEAD_BYTES
        self.sending = b""
        self._buffers = context.write_buffers
        self.request_handler = self._handle

    async def writable(self) -> None:
        """Wait until the client has read most of the written bytes.

        Raises:
            RequestCancelled: the response timeout has passed; the connection is closed.

        """
        if self._can_write.is_set():
            return
        try:
            async with asyncio.timeout(self.response_timeout):
                await self._can_write.wait()
        except TimeoutError:
            self.drop()
            raise RequestCancelled from None

    async def send(self, data: bytes | memoryview) -> None:
        """Write when the client has read most of the bytes written before.

        Raises:
            RequestCancelled: the connection is closed.

        """
        if not self._can_write.is_set():
            await self.writable()
        if self.transport is None or self.transport.is_closing():
            raise RequestCancelled
        self.transport.write(data)
        self._time = time.monotonic()

    def drop(self) -> None:
        """Close the connection at once and discard its write buffer."""
        metrics.dropped_readers.inc()
        if self.transport:
            self.transport.abort()

    def pause_writing(self) -> None:
        """Count the buffered bytes: the transport's buffer is over its high-water mark."""
        super().pause_writing()  # type: ignore[no-untyped-call]
        if self.transport:
            waiting = self.transport.get_write_buffer_size() - len(self.sending)
            self._buffers.hold(self, max(0, waiting), self.sending)

    def resume_writing(self) -> None:
        """Release the count: the client has read, or the connection is lost."""
        self._buffers.release(self)
        super().resume_writing()  # type: ignore[no-untyped-call]

    async def _handle(self, request: Request) -> None:
        """Handle a request as Sanic does, without its signals, which have no listeners here."""
        app, http = self.app, self._http
        has_begun = False
        try:
            host = request.headers.get("host")
            request.route, handler, values = app.router.get(request.path, request.method, host)
            if http.request_body:
                await self._prepare_body(request, handler)
            has_begun = True
            await app.ctx.begin(request)
            response = await handler(request, **values)
            if response is not None:
                http.respond(response)
                # Without it an error while sending would count as a second response.
                request._response_middleware_started = True  # noqa: SLF001  it has no public name
                await app.ctx.end(request, response)
                await http.http1_response_header(b"", end_stream=True)
            else:
                # The handler has begun a stream.
                await http.response.send(end_stream=True)
        except Exception as error:  # noqa: BLE001  the application renders it
            await app.handle_exception(request, error, run_middleware=not has_begun)
        # The connection may have closed during the handler.
        if self._http is not None and self._http.request_body:
            await self._http.discard_body()

    async def _prepare_body(self, request: Request, handler: object) -> None:
        """Read the body, unless the handler streams it and bounds it itself."""
        if hasattr(handler, "is_stream"):
            self._http.request_max_size = math.inf
        elif request.route and not request.route.extra.ignore_body:
            await request.receive_body()  # type: ignore[no-untyped-call]
