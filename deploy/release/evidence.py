"""What a state gathers from readings: counts of the step, and of the sequential test."""

from dataclasses import replace

from deploy.release.counts import Pair, Reading, increase
from deploy.release.judge import too_much_traffic, worse_errors
from deploy.release.plan import FULL
from deploy.release.state import Observation, State
from deploy.release.statistics import NOT_WORSE, log_likelihood_ratio


def usable(state: State, seen: Observation) -> Reading | None:
    """Return the reading if it can be used."""
    return None if seen.reading is None or _fault(state, seen.reading) else seen.reading


def fault(state: State, seen: Observation) -> str:
    """Return why there is no usable data, or that there is too little traffic."""
    reading = seen.reading
    found = seen.fault or (_fault(state, reading) if reading else "no metrics")
    if found:
        return found
    if seen.weight is None:
        return "the router's weight can't be read"
    if seen.canary_ready != 1:
        return f"{state.plan.canary.revision} is not ready"
    return "too little traffic"


def _fault(state: State, reading: Reading) -> str:
    if state.bounds and reading.bounds != state.bounds:
        return "the buckets have changed"
    return reading.fault(state.plan.times.stale)


def absorb(state: State, seen: Observation) -> tuple[State, Pair | None]:
    """Add what was counted since the last usable reading; return it, None without two of them."""
    reading, before = usable(state, seen), state.reading
    if reading is None:
        return state, None
    state = replace(state, reading=reading)
    if before is None:
        return state, None
    counted = increase(before, reading)
    tested = compared(state, state.tested + counted)
    return replace(
        state,
        step_counted=state.step_counted + counted,
        tested=Pair() if _is_no_worse(tested) else _own(state, tested),
    ), counted


def compared(state: State, counted: Pair) -> Pair:
    """Return what the canary is compared with.

    At full weight the stable revision answers nothing: that is what it did in its last step.
    """
    return Pair(counted.canary, state.reference.stable) if state.weight == FULL else counted


def harm(state: State) -> str:
    """Return why the release has to be aborted now, or an empty text."""
    errors = worse_errors(compared(state, state.tested))
    return errors or too_much_traffic(state.step_counted, state.weight)


def _is_no_worse(tested: Pair) -> bool:
    # The test begins anew: what was good for long would hide what is bad from now on.
    shares = tested.canary.share_of_errors, tested.stable.share_of_errors
    return log_likelihood_ratio(*shares) <= NOT_WORSE


def _own(state: State, tested: Pair) -> Pair:
    return Pair(canary=tested.canary) if state.weight == FULL else tested
