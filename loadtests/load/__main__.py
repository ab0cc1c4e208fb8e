"""python -m loadtests.load SHAPE [--host URL] [--seconds N] [--uploads N] [--limits FILE] …"""

import argparse
import shutil
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from deploy.observe.slo import spec
from deploy.observe.slo.spec import SloError
from loadtests.bench import pages, results
from loadtests.bench.results import print_progress
from loadtests.load import baseline, measures, slo, stack, watch
from loadtests.load.machine import Machine
from loadtests.load.measures import Ramp
from loadtests.load.report import Report, verdict_table, write_csv
from loadtests.load.shapes import SHAPES, Shape
from loadtests.load.slo import Target
from loadtests.load.stack import StackError
from loadtests.load.swarm import Run, Swarm, SwarmError

FOLDER = Path(__file__).resolve().parents[1]
REPORTS = FOLDER / "reports"
EXIT_MET, EXIT_NOT_MET, EXIT_UNUSABLE = 0, 1, 2


def main() -> int:
    """Play a shape and judge it; 0 when all targets are met, 1 when not, 2 when it did not run."""
    options = _options()
    try:
        targets = slo.load(options.limits, options.slo)
        report = _play(options, targets)
    except (SloError, StackError, SwarmError) as error:
        print_progress(str(error))
        return EXIT_UNUSABLE
    path = _write(report, options, _p95_bound(targets, options.shape, report.run.shape))
    if path.parent == results.RESULTS:
        pages.refresh()
    sys.stdout.write(report.text())
    print_progress(f"\n{verdict_table(report.verdicts)}\n\nwritten to {path} and {options.reports}")
    return EXIT_MET if slo.are_met(report.verdicts) else EXIT_NOT_MET


def _play(options: argparse.Namespace, targets: list[Target]) -> Report:
    shape = SHAPES[options.shape]
    shape = shape.lasting(options.seconds) if options.seconds else shape
    shape = shape.of_students(options.share)
    shape = shape.uploading(options.uploads) if options.uploads else shape
    machine, started = Machine.here(), datetime.now(UTC)
    with ExitStack() as life:
        if options.host:
            host, account, pid = options.host.rstrip("/"), stack.account(), None
            bare_sanic = None
        else:
            print_progress("measuring the speed of this machine")
            bare_sanic = baseline.bare_sanic()
            extra = dict(each.partition("=")[::2] for each in options.set)
            service = life.enter_context(stack.running(print_progress, extra))
            host, account, pid = service.base_url, stack.ADMIN, service.process.pid
        ramp = Ramp(shape, targets) if shape.until_broken else None
        swarm = Swarm(options.shape, shape, options.share, host, account, options.reports, pid)
        print_progress(f"{options.shape}: {shape.seconds:.0f} s of load, {shape.users:,} users")
        run = swarm.run(ramp, print_progress)
    verdicts = slo.judge(targets, options.shape, _measures(run))
    return Report(options.shape, options.share, host, started, machine, bare_sanic, run, verdicts)


def _measures(run: Run) -> dict[tuple[str, str], float | None]:
    start, end = run.shape.warm_up, run.end
    found = measures.of_rows(run.records.between(start, end), run.shape.students_due(start, end))
    found |= measures.of_service(run.watch.readings_between(start, end))
    found["memory_growth", ""] = watch.growth(run.watch.memory_growth(start, end))
    if run.ramp:
        found["knee", ""] = run.ramp.knee
    return found


def _write(report: Report, options: argparse.Namespace, p95_bound: float | None) -> Path:
    from loadtests.load.plot import draw  # noqa: PLC0415  takes half a second, and not before

    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    results.remove(report.kind, out)
    path = out / f"{report.file_stem}.md"
    path.write_text(report.text(), encoding="utf-8")
    write_csv(path.with_suffix(".csv"), report.run)
    title = f"{report.shape_name}, {report.started:%Y-%m-%d %H:%M} UTC"
    draw(path.with_suffix(".png"), title, report.run, p95_bound)
    shutil.move(options.reports / "locust.html", options.reports / f"{report.file_stem}.html")
    return path


def _p95_bound(targets: list[Target], shape_name: str, shape: Shape) -> float | None:
    name = slo.STEP if shape.until_broken else shape_name
    bounds = [
        target.bound
        for target in targets
        if (target.measure, target.endpoint) == ("p95", "") and name in target.shapes
    ]
    return min(bounds, default=None)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="loadtests.load")
    parser.add_argument("shape", choices=sorted(SHAPES))
    parser.add_argument("--host", help="a service that runs; left out, one is started and filled")
    parser.add_argument("--seconds", type=float, help="the same shape, shorter or longer")
    parser.add_argument(
        "--share", type=float, default=1.0, help="this part of the students' requests"
    )
    parser.add_argument("--uploads", type=float, help="courses with a picture a minute")
    parser.add_argument("--slo", type=Path, default=spec.FILE, help="other objectives")
    parser.add_argument("--limits", type=Path, default=slo.LIMITS, help="other limits")
    parser.add_argument("--out", type=Path, default=results.RESULTS, help="where the results go")
    parser.add_argument("--reports", type=Path, default=REPORTS, help="where Locust's files go")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="settings of the service"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
