"""`make bench-logins`: measure both, write loadtests/results/logins-DATE.md."""

import asyncio
import os
from datetime import UTC, datetime

import httpx
import typer

from loadtests.bench import pages, results
from loadtests.bench.logins import accounts, storm
from loadtests.bench.logins.timing import Comparison, compare

# What a t-test calls a difference.
SIGNIFICANT = 0.01


QUICK = (40, 3.0)


def main(
    logins: int = 1_000, seconds: float = 20, *, quick: bool = False, write: bool = True
) -> None:
    """Measure the time of refused logins, and reads with and without a storm of logins.

    `--quick` sees whether it works, and writes nothing.
    """
    if quick:
        logins, seconds, write = *QUICK, False
    report = asyncio.run(_measure(logins, seconds))
    typer.echo(report)
    if write:
        results.write("logins", "Logins", report)
        pages.refresh()


async def _measure(logins: int, seconds: float) -> str:
    async with (
        accounts.service() as running,
        httpx.AsyncClient(base_url=running.base_url, timeout=60) as client,
    ):
        await accounts.add(running, "known-account-one")
        found = [await compare(client, "all accounts have argon2id", "known-account-one", logins)]
        calm = await storm.reads(running.base_url, seconds)
        stormy, statuses = await storm.under_storm(
            running.base_url, "known-account-one", accounts.PASSWORD, seconds
        )
        await accounts.add(running, "known-account-old", old=True)
        # Each process asks once a minute which kinds of hashes there are.
        await asyncio.sleep(61)
        for name, username in (
            ("an account of the old service (bcrypt)", "known-account-old"),
            ("argon2id, beside one of the old service", "known-account-one"),
        ):
            found.append(await compare(client, name, username, logins))
    rows = "\n".join(_row(each) for each in found)
    answered = ", ".join(f"{count} of {status}" for status, count in sorted(statuses.items()))
    return f"""\
`make bench-logins` on {os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.

## Does a refusal's time tell that an account exists?

Wrong passwords one after the other over HTTP, half of an account that exists, half of names without
an account, in random order; mean ± deviation in milliseconds, and Welch's t-test. Below
{SIGNIFICANT} a difference would be called one.

| account | logins | it exists | it does not | t | p | |
|---|---|---|---|---|---|---|
{rows}

## Does a storm of logins slow reads?

{storm.READS_A_SECOND} reads of `{storm.PATH}` a second at random moments for {seconds:g} s;
the storm is {storm.LOGINS_AT_ONCE} clients that log in again and again, from a process of their
own on the same cores: a third rightly, a third with wrong passwords, a third as unknown users. No
limit stops any of them.

| | reads | failed | P50 ms | P95 ms | P99 ms |
|---|---|---|---|---|---|
{_phase("no logins", calm)}
{_phase("storm", stormy)}

Logins of the storm: {answered}.
"""


def _phase(name: str, found: storm.Reads) -> str:
    figures = " | ".join(f"{value:.1f}" for value in (found.p50, found.p95, found.p99))
    return f"| {name} | {found.requests} | {found.failures} | {figures} |"


def _row(found: Comparison) -> str:
    verdict = "a difference" if found.p < SIGNIFICANT else "none seen"
    known, unknown = (f"{mean:.2f} ± {spread:.2f}" for mean, spread in (found.known, found.unknown))
    return (
        f"| {found.name} | {found.logins} | {known} | {unknown} "
        f"| {found.t:+.2f} | {found.p:.3f} | {verdict} |"
    )


if __name__ == "__main__":
    typer.run(main)
