"""The sums of what an instance's processes count, and the datagrams that carry the changes."""

import os
import socket
from collections.abc import Iterator

import orjson
from prometheus_client.core import Metric

from infra.observability.meters import Gauge, Instance, Labels, Meter

# A datagram stays far below the limit of a socket.
SERIES_PER_MESSAGE = 50


def open_channel() -> tuple[socket.socket, socket.socket]:
    """Return the receiving socket of the process that serves Prometheus, and the sending one.

    Neither blocks: counts that can't be sent now stay unsent until the next time.
    """
    receiver, sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for one in (receiver, sender):
        one.setblocking(False)  # noqa: FBT003  the standard library's signature
    return receiver, sender


def send_changes(sender: socket.socket) -> None:
    """Send the changes of all meters.

    Raises:
        OSError: the receiver is busy or away; the rest is sent the next time.

    """
    changes = [
        (meter, labels, series)
        for meter in [*Meter.declared.values()]
        for labels, series in meter.unsent()
    ]
    for first in range(0, len(changes), SERIES_PER_MESSAGE):
        part = changes[first : first + SERIES_PER_MESSAGE]
        message = [(meter.name, labels, series) for meter, labels, series in part]
        sender.send(orjson.dumps((os.getpid(), message)))
        for meter, labels, series in part:
            meter.mark_sent(labels, series)


class Totals:
    """The sums over all processes of an instance; a collector for prometheus_client."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._sums: dict[str, dict[Labels, list[float]]] = {
            name: meter.initial() if instance in meter.served_by else {}
            for name, meter in Meter.declared.items()
        }
        self._levels: dict[int, dict[str, float]] = {}

    def add(self, message: bytes) -> None:
        """Add a message of a process."""
        pid, changes = orjson.loads(message)
        for name, labels, series in changes:
            if isinstance(Meter.declared[name], Gauge):
                [self._levels.setdefault(pid, {})[name]] = series
                continue
            sums = self._sums[name].setdefault(tuple(labels), [0] * len(series))
            sums[:] = map(sum, zip(sums, series, strict=True))

    def collect(self) -> Iterator[Metric]:
        """Return the metrics of the exposition."""
        self._levels = {pid: each for pid, each in self._levels.items() if _is_alive(pid)}
        for name, meter in Meter.declared.items():
            totals = self._sums[name]
            is_served = self._instance in meter.served_by
            if isinstance(meter, Gauge):
                levels = [each[name] for each in self._levels.values() if name in each]
                figure = meter.of(levels) if levels or is_served else None
                totals = {} if figure is None else {(): [figure]}
            if totals or is_served:
                yield meter.family(totals)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
