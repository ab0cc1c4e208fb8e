"""What 100,000 requests a second and 50 million students would take, by the measured costs."""

import math
import statistics
from typing import Any

from loadtests.bench.compare.cases import OUR_304, OUR_INSERT, OUR_LIST, OUR_ROWS

REQUESTS_A_SECOND = 100_000
# What comes when registration opens: shares of the requests.
MIX = {OUR_304: 0.45, OUR_LIST: 0.38, OUR_ROWS: 0.02, OUR_INSERT: 0.15}
NAMES = {
    OUR_304: "list, 304",
    OUR_LIST: "list, from memory",
    OUR_ROWS: "page, from the database",
    OUR_INSERT: "enrolment",
}
# No core is to be busier: room for bursts, and for the loss of one zone of three.
BUSY = 0.5
API_CORES, SHARD_CORES = 4, 16
# A zone may be lost, and a failover may stop a quarter of the students.
FEWEST_INSTANCES, FEWEST_SHARDS = 3, 4
# Dollars an hour: an instance, a shard with its standby, and Redis, load balancer, traffic.
INSTANCE, SHARD, REST = 0.19, 4.20, 25.0

Rounds = dict[str, list[dict[str, Any]]]


def table(measured: Rounds) -> str:
    """Render the cores by kind of request, and how many machines they make."""
    lines = [
        "| request | share | a second | API µs | database µs | API cores | database cores |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    api = database = 0.0
    for case, share in MIX.items():
        rate = REQUESTS_A_SECOND * share
        server, postgres = (_cost(measured[case], group) for group in ("server", "PostgreSQL"))
        api += rate * server
        database += rate * postgres
        cells = [
            *(NAMES[case], f"{share:.0%}", f"{rate:,.0f}", f"{server * 1e6:.0f}"),
            *(f"{postgres * 1e6:.0f}", f"{rate * server:.1f}", f"{rate * postgres:.1f}"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append(f"| all | 100% | {REQUESTS_A_SECOND:,} | | | {api:.1f} | {database:.1f} |")
    instances = max(FEWEST_INSTANCES, math.ceil(api / BUSY / API_CORES))
    shards = max(FEWEST_SHARDS, math.ceil(database / BUSY / SHARD_CORES))
    machines = (
        f"At {BUSY:.0%} busy that is **{instances} API instances** of {API_CORES} cores and "
        f"**{shards} database shards** of {SHARD_CORES} cores, each with a standby: "
        f"about {instances * INSTANCE + shards * SHARD + REST:.0f} $ an hour."
    )
    lines += ["", machines]
    return "\n".join(lines)


def _cost(rounds: list[dict[str, Any]], group: str) -> float:
    """Return the seconds of a core that a request takes."""
    costs = [float(each["cores"].get(group, 0.0) / each["rps"]) for each in rounds]
    return statistics.median(costs)
