"""The state machine of a release: from a state and an observation to a state and an order.

Pure: no clock, no I/O. In every order of observations it ends, it promotes on nothing but fresh
data of every step, and it says `rolled back` only when the router was seen without the canary.
"""

from collections.abc import Callable
from dataclasses import replace

from deploy.release.counts import Pair
from deploy.release.evidence import absorb, compared, fault, harm, usable
from deploy.release.judge import Verdict, judge
from deploy.release.plan import Strategy
from deploy.release.state import Entry, Observation, Phase, State


def advance(state: State, seen: Observation) -> tuple[State, int | None]:
    """Return the next state, and the weight that the router is to get now, if any."""
    if state.is_final:
        return state, None
    before = state.at
    # A clock that was set back makes no time.
    state = replace(state, at=max(state.at, seen.at))
    if state.phase is not Phase.ROLLING_BACK and (reason := _abort(state, seen, before)):
        state = _roll_back(state, reason)
    return _HANDLERS[state.phase](state, seen)


def _abort(state: State, seen: Observation, before: float) -> str:
    """Return why the release can't go on, or an empty text."""
    plan, times = state.plan, state.plan.times
    reading = usable(state, seen)
    if seen.abort:
        return seen.abort
    if state.at - before > times.hold:
        return f"the controller was away for {state.at - before:.0f} s"
    if reading and reading.strangers:
        return f"another revision runs: {', '.join(reading.strangers)}"
    if reading and state.pinned is not None and reading.started > state.pinned:
        return f"processes of {plan.canary.revision} were started anew, or replaced"
    if state.at - state.since > _deadline(state):
        held = f": {state.reason}" if state.reason else ""
        return f"the deadline of the phase '{state.phase}' is over{held}"
    return ""


def _deadline(state: State) -> float:
    times = state.plan.times
    return {
        Phase.PREPARING: times.start_deadline,
        Phase.SHIFTING: times.shift_deadline,
        Phase.ROLLING_BACK: times.rollback_deadline,
    }.get(state.phase, times.step_deadline)


def _prepare(state: State, seen: Observation) -> tuple[State, int | None]:
    """Wait until both revisions are ready and measured, and the router has the weight 0."""
    plan = state.plan
    if not _is_stable_ready(state, seen):
        return _wait(state, seen, f"{plan.stable.revision} is not ready"), None
    if seen.weight != 0:
        return _wait(state, seen, "the router has not got its weights"), 0
    if seen.canary_ready != 1:
        return _wait(state, seen, f"{plan.canary.revision} is not ready"), None
    reading = usable(state, seen)
    if reading is None:
        return _wait(state, seen, "there are no metrics"), None
    state = replace(
        state,
        reading=reading,
        pinned=reading.started,
        bounds=reading.bounds,
        fresh_at=state.at,
    )
    if plan.strategy is Strategy.BLUE_GREEN:
        return _enter(state, Phase.MEASURING, f"measures {plan.stable.revision}"), None
    return _shift(state, 0)


def _measure(state: State, seen: Observation) -> tuple[State, int | None]:
    """Count the stable revision alone: nothing is beside a revision that gets all traffic."""
    state, counted = absorb(state, seen)
    if counted is None or not counted.stable.requests:
        return _hold(state, seen)
    state = replace(state, fresh_at=state.at)
    if state.at - state.since < state.plan.times.step:
        return state, None
    return _shift(state, 0)


def _shift(state: State, step: int) -> tuple[State, int | None]:
    weight = state.plan.weights[step]
    if state.step_counted.stable.requests:
        state = replace(state, reference=state.step_counted)
    state = replace(
        state, step=step, weight=weight, was_shifted=True, step_counted=Pair(), tested=Pair()
    )
    return _enter(state, Phase.SHIFTING, f"sets the weight to {weight} %"), weight


def _await_weight(state: State, seen: Observation) -> tuple[State, int | None]:
    """Wait until the router was seen to apply the weight."""
    state, _ = absorb(state, seen)
    if reason := harm(state):
        return _order_rollback(state, seen, reason)
    if seen.weight != state.weight:
        return _wait(state, seen, "the router does not apply the weight"), state.weight
    # What was counted before is of the former weight.
    state = replace(
        state, reading=usable(state, seen), step_counted=Pair(), fresh_at=state.at, judged=0
    )
    return _enter(state, Phase.WATCHING, f"the weight is {state.weight} %"), None


def _watch(state: State, seen: Observation) -> tuple[State, int | None]:
    """Look for harm in each reading, and judge the step at its end."""
    if seen.weight not in {state.weight, None}:
        return _order_rollback(state, seen, f"the router has a weight of {seen.weight} %")
    state, counted = absorb(state, seen)
    if reason := harm(state):
        return _order_rollback(state, seen, reason)
    is_answering = counted is not None and counted.canary.requests > 0
    if not is_answering or seen.weight is None or seen.canary_ready != 1:
        return _hold(state, seen)
    state = replace(state, fresh_at=state.at)
    if state.at - state.since < state.plan.times.step * (state.judged + 1):
        return state, None
    return _decide(state, seen)


def _decide(state: State, seen: Observation) -> tuple[State, int | None]:
    """Judge the step: once at its end, and again after as long a time while that is unsure."""
    observed = state.step_counted
    compare = compared(state, observed)
    finding = judge(compare, observed, state.bounds, state.weight, state.plan.limits)
    match finding.verdict:
        case Verdict.BAD:
            return _order_rollback(state, seen, finding.reason)
        case Verdict.UNSURE:
            held = replace(state, judged=state.judged + 1, reason=finding.reason)
            return _note(held, f"holds: {finding.reason}"), None
    state = _note(replace(state, reason=""), f"passes: {finding.reason}")
    if state.step + 1 < len(state.plan.weights):
        return _shift(state, state.step + 1)
    return _enter(state, Phase.PROMOTED, f"{state.plan.canary.revision} is promoted"), None


def _order_rollback(state: State, seen: Observation, reason: str) -> tuple[State, int | None]:
    return _take_back(_roll_back(state, reason), seen)


def _roll_back(state: State, reason: str) -> State:
    state = replace(state, weight=0, reason=reason)
    return _enter(state, Phase.ROLLING_BACK, reason)


def _take_back(state: State, seen: Observation) -> tuple[State, int | None]:
    """Take all traffic from the canary, as soon as the stable revision can have it."""
    if seen.weight == 0 or not state.was_shifted:
        return _enter(state, Phase.ROLLED_BACK, "the canary gets no requests"), None
    if state.at - state.since > _deadline(state):
        return _enter(state, Phase.STUCK, "the rollback is not seen: an operator is needed"), None
    return state, 0 if _is_stable_ready(state, seen) else None


def _is_stable_ready(state: State, seen: Observation) -> bool:
    return (seen.stable_ready or 0.0) >= state.plan.stable_ready_share


def _hold(state: State, seen: Observation) -> tuple[State, int | None]:
    """Wait for usable data, for a bounded time."""
    reason = fault(state, seen)
    if state.at - state.fresh_at > state.plan.times.hold:
        return _order_rollback(state, seen, f"no usable data for too long: {reason}")
    return replace(state, reason=reason), None


def _wait(state: State, seen: Observation, reason: str) -> State:
    return replace(state, reason=f"{reason}: {seen.fault}" if seen.fault else reason)


def _enter(state: State, phase: Phase, sentence: str) -> State:
    return _note(replace(state, phase=phase, since=state.at), sentence)


def _note(state: State, sentence: str) -> State:
    entry = Entry(state.at, state.phase, state.weight, sentence)
    return replace(state, history=(*state.history, entry))


_HANDLERS: dict[Phase, Callable[[State, Observation], tuple[State, int | None]]] = {
    Phase.PREPARING: _prepare,
    Phase.MEASURING: _measure,
    Phase.SHIFTING: _await_weight,
    Phase.WATCHING: _watch,
    Phase.ROLLING_BACK: _take_back,
}
