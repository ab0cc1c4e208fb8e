"""URLs of several database servers, as libpq writes them."""

import pytest

from infra.db import dsn

TWO = "postgresql://app:s%40,x@one:5432,two:5433/app?sslmode=verify-full"


def test_each_host_has_a_url_with_its_own_port():
    assert dsn.each_host(TWO) == {
        "one:5432": "postgresql://app:s%40,x@one:5432/app?sslmode=verify-full",
        "two:5433": "postgresql://app:s%40,x@two:5433/app?sslmode=verify-full",
    }
    assert list(dsn.each_host("postgresql://a@[::1]:1,[::2]/x")) == ["[::1]:1", "[::2]"]
    assert list(dsn.each_host("postgresql:///app?host=/run/postgresql")) == [""]


def test_of_several_servers_the_primary_is_meant_unless_the_url_says_otherwise():
    assert dsn.parse(TWO).text == f"{TWO}&target_session_attrs=primary"
    assert dsn.parse(f"{TWO}&target_session_attrs=read-write").target == "read-write"
    assert dsn.parse("postgresql://a@one/x").target == "any"
    # Each pooler follows the primary itself.
    assert dsn.parse(f"{TWO}&pgbouncer=true").target == "any"


def test_a_replica_is_any_of_the_servers_that_stands_by():
    each = dsn.each_server(f"{TWO}&target_session_attrs=standby")
    assert list(each.values()) == list(dsn.each_host(TWO).values())


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("postgresql://a@one,,two/x", "one of its hosts has no name"),
        ("postgresql://a@one:x,two/x", "port must be a number"),
        ("postgresql://a@one,two:99999/x", "port must be a number"),
        ("postgresql:///x?host=one,two", "several hosts stand before the path"),
        ("postgresql://a@one,two/x?target_session_attrs=leader", "it is 'leader'"),
    ],
)
def test_a_malformed_list_is_refused(url, fault):
    with pytest.raises(ValueError, match=fault):
        dsn.parse(url)
