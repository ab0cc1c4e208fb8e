"""`enroll release`: lets a revision take over step by step, and takes it back if it is worse."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import print_error, print_json, print_line, print_table
from cli.options import AsJson, UsageError
from deploy.release import checks
from deploy.release.controller import ENDED, Controller, World, reopened
from deploy.release.nginx import NginxRouter
from deploy.release.plan import Plan, PlanRefused, load
from deploy.release.ports import Router
from deploy.release.prometheus import PrometheusMetrics
from deploy.release.state import Entry, Phase, State
from deploy.release.store import Busy, Store
from deploy.verdict import Verdict
from infra.observability import logs
from infra.process import signals
from infra.settings import Use, load_settings

EXIT_REFUSED = 1
EXIT_ROLLED_BACK, EXIT_STUCK, EXIT_NOT_DRAINED = 3, 4, 5
EXITS = {Phase.ROLLED_BACK: EXIT_ROLLED_BACK, Phase.STUCK: EXIT_STUCK}
ABORT_POLL_SECONDS = 0.2

app = typer.Typer(help="Release a revision that runs beside the present one.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="The plan, as docs/deployment.md shows it.")]
Folder = Annotated[Path, typer.Argument(help="The plan's `folder`.")]
Skip = Annotated[list[str], typer.Option("--skip", help="A check that need not pass; repeatable.")]


@app.command()
def run(file: File, skip: Skip = []) -> None:  # noqa: B006  Typer's default
    """Release by a plan, or go on with it; exit code 3 if rolled back, 4 if an operator is needed.

    SIGINT and SIGTERM roll back.
    """
    plan = _load(file)
    store = Store(plan.folder)
    with store.locked():
        controller = Controller(store, _world(plan))
        kept = store.read()
        if kept and kept.phase is Phase.PROMOTED and kept.plan.canary == plan.canary:
            print_line(f"{plan.canary.revision} is promoted already")
            _end(kept)
            return
        if kept is None or kept.phase in ENDED:
            _check(plan, skip)
        state = controller.begin(plan)
        with _aborting_on_signals(store):
            state = controller.run(state)
            _end(state)


@app.command()
def check(file: File, skip: Skip = []) -> None:  # noqa: B006  Typer's default
    """Run the checks alone; exit code 1 if one has not passed."""
    plan = _load(file)
    _check(plan, skip)
    if fault := checks.incompatibility(plan):
        print_error(fault)
        raise typer.Exit(EXIT_REFUSED)


@app.command()
def status(folder: Folder, *, as_json: AsJson = False) -> None:
    """Show where a release is, and what happened."""
    state = _state(Store(folder))
    if as_json:
        print_json(_shown(state))
        return
    print_table(("time", "phase", "weight", "what happened"), map(_row, state.history))
    print_line(f"{state.plan.canary.revision}: {state.phase}. {state.reason}".rstrip())


@app.command()
def abort(folder: Folder) -> None:
    """Take all requests from the new revision; exit code 4 if that was not seen."""
    store = Store(folder)
    _refuse_ended(_state(store))
    store.want_abort()
    while True:
        try:
            with store.locked():
                state = _state(store)
                if not state.is_final or state.phase is Phase.STUCK:
                    controller = Controller(store, _world(state.plan))
                    state = controller.run(reopened(state, time.time()))
                _end(state)
                return
        except Busy:  # its controller does it
            time.sleep(ABORT_POLL_SECONDS)


def _refuse_ended(state: State) -> None:
    if state.phase in ENDED:
        raise UsageError(f"the release of {state.plan.canary.revision} has ended: {state.phase}")


def _load(file: Path) -> Plan:
    try:
        return load(file)
    except PlanRefused as error:
        raise UsageError(error.message) from None


def _state(store: Store) -> State:
    state = store.read()
    if state is None:
        raise UsageError(f"{store.folder} has no release")
    return state


def _world(plan: Plan) -> World:
    router: Router
    if plan.nginx:
        router = NginxRouter(plan)
    else:
        from deploy.release.alb import AlbRouter

        router = AlbRouter(plan)
    return World(router, PrometheusMetrics(plan), lambda: checks.incompatibility(plan), _tell)


def _check(plan: Plan, skip: Sequence[str]) -> None:
    found = checks.run(plan)
    if unknown := set(skip) - {each.name for each in found}:
        raise UsageError(f"no check is called {', '.join(sorted(unknown))}")
    print_table(("check", "outcome", "why"), found)
    if any(each.outcome is not Verdict.PASSED and each.name not in skip for each in found):
        raise typer.Exit(EXIT_REFUSED)


@contextmanager
def _aborting_on_signals(store: Store) -> Iterator[None]:
    """Let the first signal abort the release; the next one ends the process at once."""

    def stop(_signum: int, _frame: Any) -> None:
        signals.end_on_signal()
        store.want_abort()

    before = {each: signal.signal(each, stop) for each in signals.stop_signals()}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _end(state: State) -> None:
    """Drain the workers of the revision that does not stay, and exit by the outcome."""
    plan = state.plan
    leaving = plan.stable if state.phase is Phase.PROMOTED else plan.canary
    if leaving.workers and state.phase is not Phase.STUCK:
        settings = load_settings(uses=Use.BROKER)
        logs.configure_command(settings.log_level, settings.log_format, process="release")
        from deploy.release.workers import drain

        if busy := drain(leaving.workers, plan.times.drain_deadline):
            print_error(f"{', '.join(busy)} still has tasks of {leaving.revision}")
            raise typer.Exit(EXIT_NOT_DRAINED)
        print_line(f"the workers of {leaving.revision} have no tasks, and take no more")
    if code := EXITS.get(state.phase):
        print_error(f"{plan.canary.revision}: {state.phase}: {state.reason}")
        raise typer.Exit(code)


def _tell(entry: Entry) -> None:
    print_line(" ".join(_row(entry)))


def _row(entry: Entry) -> tuple[str, str, str, str]:
    at = datetime.fromtimestamp(entry.at, UTC).strftime("%H:%M:%S")
    return at, entry.phase.value, f"{entry.weight} %", entry.sentence


def _shown(state: State) -> dict[str, Any]:
    return {
        "stable": state.plan.stable.revision,
        "canary": state.plan.canary.revision,
        "phase": state.phase.value,
        "weight": state.weight,
        "since": state.since,
        "reason": state.reason,
        "history": [
            {"at": each.at, "phase": each.phase.value, "weight": each.weight, "what": each.sentence}
            for each in state.history
        ],
    }
