"""The smaller benchmarks: their conclusions, and their behaviour where a tool is missing."""

import subprocess
import sys
from contextlib import AsyncExitStack

import pytest

from loadtests.bench import environment
from loadtests.bench.load import Figures, together
from loadtests.bench.profile import instructions
from loadtests.bench.reads import __main__ as reads
from loadtests.bench.reads.ways import OBJECTS, OURS, WAYS
from loadtests.bench.warming import __main__ as warming
from loadtests.bench.warming.__main__ import Seen


def warmed(hits: float, p99: float) -> str:
    cold = [Seen(0.5, 1.0, 10.0, 20.0)] * 3
    return warming.verdicts({warming.WARM: [Seen(hits, 1.0, p99, 20.0)] * 3, 0: cold})


def test_warming_must_raise_the_hit_ratio_and_lower_the_p99():
    assert warmed(0.9, 5.0).count("| met |") == 2
    assert "| a higher hit ratio | missed |" in warmed(0.5, 5.0)
    assert "| a lower P99 | missed |" in warmed(0.9, 10.0)


def test_a_server_with_too_few_courses_is_an_error():
    with pytest.raises(SystemExit, match="100 courses to read, and 300 are wanted"):
        warming.Reader(["id"] * 100)
    warming.Reader(["id"] * 300)


def test_the_service_is_judged_by_its_worst_case():
    rates = {name: dict.fromkeys(reads.PLACES, 10.0) for name in WAYS}
    rates[OURS]["100 courses"] = 9.0
    assert f"| {OBJECTS} | 1 | 0.90, 100 courses | missed |" in reads.aims(rates)
    rates[OURS]["100 courses"] = 11.0
    assert f"| {OBJECTS} | 1 | 1.00, one course | met |" in reads.aims(rates)


def test_responses_are_compared_without_the_format_of_times():
    one = b'{"data": [{"id": "x", "created_at": "2026-11-25T10:00:00Z"}]}'
    other = b'{"data":[{"created_at":"2026-11-25T10:00:00.000000+00:00","id":"x"}]}'
    assert reads.content(one) == reads.content(other)
    assert reads.content(one) != reads.content(one.replace(b"10:00", b"10:01"))


def test_the_load_of_several_processes_is_added():
    names = ("requests", "errors", "seconds", "p50", "p95", "p99", "longest")
    one = dict(zip(names, (90, 10, 2.0, 1.0, 2.0, 3.0, 8.0), strict=True))
    other = dict(zip(names, (60, 0, 1.0, 3.0, 1.0, 9.0, 9.5), strict=True))
    assert together([one, other], {"load": 0.5}) == Figures(
        rps=100.0, p50=2.0, p95=2.0, p99=9.0, longest=9.5, errors=10, cores={"load": 0.5}
    )


@pytest.mark.parametrize("of", ["costs", "instructions"])
def test_the_profiled_code_is_what_the_service_runs(of):
    command = (sys.executable, "-m", f"loadtests.bench.profile.{of}")
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_without_valgrind_the_report_has_a_reason(monkeypatch):
    monkeypatch.setattr(instructions.shutil, "which", lambda _name: None)
    reason = instructions.count()
    assert "no valgrind here" in reason
    assert instructions.table(reason) == f"Instructions were not counted: {reason}."


def test_instructions_are_counted_between_the_marks(tmp_path):
    for part, total in enumerate((900, 100, 300, 5), start=1):
        text = f"version: 1\npart: {part}\nsummary: {total}\n\ntotals: {total}\n"
        (tmp_path / f"callgrind.out.1.{part}").write_text(text)
    (tmp_path / "callgrind.out.1").write_text("totals: 1\n")
    assert instructions.totals_of(tmp_path) == [900, 100, 300, 5]


async def test_a_failed_go_build_is_reported_as_a_reason(monkeypatch, tmp_path):
    for need in environment.GO_NEEDS:
        (tmp_path / "src" / need).mkdir(parents=True)
    monkeypatch.setattr(environment, "GOPATH", tmp_path)
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho 'main.go:3: no such package' >&2\nexit 1\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    env = {"DATABASE_URL": "x", "CACHE_URL": "redis://127.0.0.1/0", "BROKER_URL": "x"}
    async with AsyncExitStack() as stack:
        reason = await environment.Environment(env, tmp_path, stack).gin()
    assert reason == "go build -o failed: main.go:3: no such package"
