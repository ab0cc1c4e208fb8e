"""Identifies clients by their addresses."""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from sanic import Request

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Providers assign no smaller IPv6 network, and a client can use all addresses of its network.
IPV6_PREFIX = 64
_WRITTEN = re.compile(
    r"\[([0-9A-Fa-f:.]{2,45})\](?::[0-9]{1,5})?|([0-9.]{7,15})(?::[0-9]{1,5})?|([0-9A-Fa-f:.]{2,45})"
)


class Clients:
    """Identifies clients; behind trusted proxies it uses their `X-Forwarded-For`."""

    def __init__(self, trusted_proxies: tuple[Network, ...], exempt: tuple[Network, ...]) -> None:
        self._trusted = trusted_proxies
        self._exempt = exempt

    def address(self, request: Request) -> str:
        """Return the client's address.

        This is the peer's address. If the peer is a trusted proxy, it is the last address of
        `X-Forwarded-For` that is not one. A client can forge all addresses left of it.
        """
        peer = _without_zone(request.ip or _peer_of(request))
        if not self._trusted:
            return peer
        known: str | None = getattr(request.ctx, "client", None)
        if known is None:
            lines = request.headers.getall("x-forwarded-for", [])
            known = request.ctx.client = self.address_of(peer, lines)
        return known

    def address_of(self, peer: str, forwarded: list[str]) -> str:
        """Return the client's address from the peer's and the lines of `X-Forwarded-For`."""
        peer = _without_zone(peer)
        return self._behind(peer, forwarded) if self._trusted else peer

    def key(self, request: Request) -> str:
        """Return the key of the client's limits: its IPv4 address, or its IPv6 network."""
        return self.key_of(self.address(request))

    def key_of(self, address: str) -> str:
        """Return the key of an address's limits."""
        return bucket_of(address) if ":" in address else address

    def is_exempt(self, client: str) -> bool:
        """Return whether the client with this key is exempt from limits."""
        found = _parsed(client.partition("/")[0])
        return found is not None and any(found in network for network in self._exempt)

    def _behind(self, peer: str, forwarded: list[str]) -> str:
        hops = [hop.strip() for line in forwarded for hop in line.split(",")]
        while self._is_trusted(peer) and hops:
            found = _parsed(hops.pop())
            if found is None:
                break
            peer = str(found)
        return peer

    def _is_trusted(self, peer: str) -> bool:
        found = _parsed(peer)
        return found is not None and any(found in network for network in self._trusted)


@lru_cache(maxsize=10_000)
def bucket_of(client: str) -> str:
    """Return the key of an address's limits: the address, or its IPv6 network."""
    found = _parsed(client)
    if isinstance(found, IPv6Address):
        return str(ip_network((found, IPV6_PREFIX), strict=False))
    return str(found or client)


@lru_cache(maxsize=10_000)
def _parsed(text: str) -> Address | None:
    """Parse an address as proxies write it: perhaps with a port, IPv6 perhaps in brackets.

    Rejects zone ids: they are of any length and have a meaning on one machine only.
    """
    if not (written := _WRITTEN.fullmatch(text)):
        return None
    try:
        found = ip_address(written[1] or written[2] or written[3])
    except ValueError:
        return None
    return (isinstance(found, IPv6Address) and found.ipv4_mapped) or found


def _peer_of(request: Request) -> str:
    """Return the peer of a request that Sanic could not parse: it has no connection."""
    peer = request.transport.get_extra_info("peername")
    return str(peer[0]) if peer else ""


def _without_zone(peer: str) -> str:
    """Return a peer's address without the zone id that the kernel may append."""
    return peer.partition("%")[0]
