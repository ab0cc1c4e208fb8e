"""deploy/observe/postgres.yml: what Prometheus reads of PostgreSQL beyond the exporter's own."""

import yaml

from deploy.embedded.exporters import QUERIES

QUERY = yaml.safe_load(QUERIES.read_text("utf-8"))["pg_oldest_transaction"]["query"]
# An open transaction is shown when it is a minute old; the test's is younger.
AT_ONCE = QUERY.replace("seconds > 60", "seconds >= 0")


async def test_the_oldest_transaction_is_named_by_its_process(connect):
    watching, holding, later = [await connect() for _ in range(3)]
    assert AT_ONCE != QUERY
    await holding.execute("SET application_name = 'a report'")
    async with holding.transaction(isolation="repeatable_read"), later.transaction():
        await holding.execute("SELECT FROM tasks")
        await later.execute("DELETE FROM tasks")
        (found,) = await watching.fetch(AT_ONCE)
        assert await watching.fetch(QUERY) == []
    assert found["transaction"] == f"process {holding.get_server_pid()}"
    assert (found["application_name"], found["state"]) == ("a report", "idle in transaction")
    assert await watching.fetch(AT_ONCE) == []


async def test_a_transaction_without_a_snapshot_holds_nothing_back(connect):
    watching, waiting = await connect(), await connect()
    async with waiting.transaction():
        await waiting.execute("SELECT FROM tasks")
        assert await watching.fetch(AT_ONCE) == []
