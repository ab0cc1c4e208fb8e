"""Drives a release: observes, lets the machine decide, keeps the state, and obeys."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from deploy.release.machine import advance
from deploy.release.plan import Plan, Track
from deploy.release.ports import Clock, Metrics, MetricsFault, Router, RouterFault
from deploy.release.state import Entry, Observation, Phase, State
from deploy.release.store import Store
from infra.errors import DeclaredError
from infra.observability.events import Event

log = logging.getLogger(__name__)

# Phases in which clients wait for the router.
HASTY = frozenset({Phase.SHIFTING, Phase.ROLLING_BACK})
HASTE_SECONDS = 0.2
# A release that is stuck may still give requests to the canary.
ENDED = frozenset({Phase.PROMOTED, Phase.ROLLED_BACK})
# An order is repeated while it is not seen, but no more often: each is a reload.
ORDER_SECONDS = 2.0
ABORTED = "an operator aborts it"


class Unfinished(DeclaredError):
    """A release has not ended"""


@dataclass(frozen=True)
class World:
    """What a controller works with.

    `refusal` returns why two revisions that are ready must not run beside each other, or an empty
    text. `tell` is given what happens.
    """

    router: Router
    metrics: Metrics
    refusal: Callable[[], str]
    tell: Callable[[Entry], None]
    clock: Clock = time.time
    sleep: Callable[[float], None] = time.sleep


class Controller:
    """The only controller of a folder; its caller holds the lock."""

    def __init__(self, store: Store, world: World) -> None:
        self._store, self._world = store, world
        self._ordered: tuple[int, float] | None = None
        self._order_fault = ""
        self._is_admitted = False

    def begin(self, plan: Plan) -> State:
        """Return the state of a new release, or that of one of the same plan which was killed.

        Raises:
            Unfinished: another release has not ended.

        """
        kept = self._store.read()
        if kept and kept.phase not in ENDED:
            if kept.plan != plan or kept.is_final:
                revision = kept.plan.canary.revision
                raise Unfinished(
                    f"the release of {revision} has not ended: `enroll release abort` ends it"
                )
            return kept
        self._store.forget_abort()
        state = State.new(plan, self._world.clock())
        self._store.write(state)
        self._world.tell(state.history[0])
        return state

    def run(self, state: State) -> State:
        """Go on until the release has ended; return its last state.

        A fault of the controller itself rolls back, too: a canary is never left alone.
        """
        while not state.is_final:
            began = self._world.clock()
            try:
                state = self.run_once(state)
            except Exception as error:
                if state.phase is Phase.ROLLING_BACK:
                    raise
                log.debug(Event.UNEXPECTED_ERROR, exc_info=error)
                state = reopened(state, began, f"the controller failed: {error!r}")
                self._world.tell(state.history[-1])
                continue
            self._pause(state, began)
        return state

    def run_once(self, state: State) -> State:
        """Observe, decide, keep the decision, and obey it."""
        after, order = advance(state, self._observe(state))
        self._keep(after)
        for entry in after.history[len(state.history) :]:
            self._world.tell(entry)
        if order is not None:
            self._obey(order)
        return after

    def _keep(self, state: State) -> None:
        try:
            self._store.write(state)
        except OSError:
            # A full disk must not stop a rollback, and starts one.
            if state.phase not in {Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.STUCK}:
                raise

    def _obey(self, order: int) -> None:
        now = self._world.clock()
        if self._ordered and self._ordered[0] == order and now - self._ordered[1] < ORDER_SECONDS:
            return
        self._ordered, self._order_fault = (order, now), ""
        try:
            self._world.router.set_weight(order)
        except RouterFault as error:
            self._order_fault = error.message

    def _observe(self, state: State) -> Observation:
        faults = [self._order_fault]
        router = self._world.router

        def seen(read: Callable[[], float | None]) -> float | None:
            try:
                return read()
            except RouterFault as error:
                faults.append(error.message)
                return None

        weight = seen(router.weight)
        stable, canary = (seen(lambda track=track: router.ready(track)) for track in Track)  # type: ignore[misc]
        found = Observation(0.0, None if weight is None else int(weight), stable, canary)
        if self._store.is_abort_wanted():
            found = replace(found, abort=ABORTED)
        elif state.phase is Phase.PREPARING and stable and canary == 1 and not self._is_admitted:
            found = replace(found, abort=self._world.refusal())
            self._is_admitted = not found.abort
        # A rollback waits for nothing.
        if state.phase is not Phase.ROLLING_BACK and not found.abort:
            try:
                found = replace(found, reading=self._world.metrics.read())
            except MetricsFault as error:
                faults.append(error.message)
        fault = "; ".join(filter(None, dict.fromkeys(faults)))
        return replace(found, at=self._world.clock(), fault=fault)

    def _pause(self, state: State, began: float) -> None:
        """Wait for the next look; an operator's wish ends the wait."""
        if state.is_final:
            return
        end = began + (HASTE_SECONDS if state.phase in HASTY else state.plan.times.poll)
        while (left := end - self._world.clock()) > 0:
            if state.phase not in HASTY and self._store.is_abort_wanted():
                return
            self._world.sleep(min(left, HASTE_SECONDS))


def reopened(state: State, now: float, reason: str = ABORTED) -> State:
    """Return a state that rolls back, of one that is stuck or has lost its controller."""
    entry = Entry(now, Phase.ROLLING_BACK, 0, reason)
    return replace(
        state, phase=Phase.ROLLING_BACK, weight=0, since=now, at=now, reason=reason,
        history=(*state.history, entry),
    )  # fmt: skip
