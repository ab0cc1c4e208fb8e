"""The client of a request, from its address and the headers of proxies."""

from ipaddress import ip_network

import pytest

from api.security.clients import Clients

PROXIES = (ip_network("127.0.0.0/8"), ip_network("fe80::/10"))
CLIENTS = Clients(PROXIES, (ip_network("10.0.0.0/8"), ip_network("fe80::/10")))
PEER = "127.0.0.1"


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.3.4:5555", "1.2.3.4"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("[::ffff:1.2.3.4]:80", "1.2.3.4"),
    ],
)
def test_the_port_of_an_address_is_ignored(written, address):
    assert CLIENTS.address_of(PEER, [f"9.9.9.9, {written}"]) == address


@pytest.mark.parametrize(
    "written",
    [
        "fe80::1%" + "a" * 300,
        "[fe80::1%eth0]:80",
        "2001:db8::1%1",
        "1.2.3.4:",
        "1.2.3.4:123456",
        "1.2.3.4:80:80",
        "[1.2.3.4",
        "[2001:db8::1]80",
        "2001:db8::1]",
        "unknown",
        "_hidden",
        "1.2.3",
        "01.2.3.4",
        "1.2.3.4/32",
        "\u0661.2.3.4",
        "",
        ":" * 10_000,
    ],
)
def test_an_invalid_forwarded_address_counts_as_the_proxys(written):
    assert CLIENTS.address_of(PEER, [f"9.9.9.9, {written}"]) == PEER


def test_the_zone_of_a_peers_address_is_ignored():
    assert CLIENTS.address_of("fe80::1%eth0", ["1.2.3.4"]) == "1.2.3.4"
    assert CLIENTS.address_of("fe80::1%eth0", []) == "fe80::1"
    assert CLIENTS.is_exempt(CLIENTS.key_of("fe80::1"))
