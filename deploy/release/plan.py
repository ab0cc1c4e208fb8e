"""Reads the plan of a release: what runs, how traffic moves, and what decides."""

import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from infra.errors import DeclaredError
from infra.identity import qualified

FULL = 100
# How long the router and the instances may take to tell their state.
ROUTER_SECONDS = 4.0
URL = r"^https?://[^/\s]+"
_REVISION = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")


class PlanRefused(DeclaredError):
    """The plan of the release can't be used"""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Track(StrEnum):
    """The two revisions of a release."""

    STABLE = "stable"
    CANARY = "canary"


class Strategy(StrEnum):
    """How traffic moves: by steps, or at once."""

    CANARY = "canary"
    BLUE_GREEN = "blue-green"


class Revision(_Part):
    """A revision that runs: its name, host:port of its instances, and its workers' names."""

    revision: Annotated[str, Field(pattern=_REVISION.pattern)]
    instances: Annotated[tuple[str, ...], Field(min_length=1)]
    workers: tuple[str, ...] = ()

    @model_validator(mode="after")
    def check(self) -> Self:
        """Refuse what is no address: it would be text of nginx's configuration."""
        for each in self.instances:
            if not re.fullmatch(r"(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}", each):
                raise ValueError(f"{each!r} is not host:port")
        return self


class Nginx(_Part):
    """An nginx whose configuration includes `include` at the level of `http`.

    `control` is host:port of a listener on this host, by which the weight is read back.
    """

    include: Path
    control: Annotated[str, Field(pattern=r"^(127\.0\.0\.1|\[::1\]):\d{1,5}$")] = "127.0.0.1:8099"
    test: tuple[str, ...] = ("nginx", "-t")
    reload: tuple[str, ...] = ("nginx", "-s", "reload")
    keepalive: Annotated[int, Field(ge=1, le=10_000)] = 64


class Alb(_Part):
    """A load balancer of AWS: a rule, or a listener's default action, over two target groups."""

    stable_group: str
    canary_group: str
    region: str
    listener: str | None = None
    rule: str | None = None
    endpoint_url: str | None = None

    @model_validator(mode="after")
    def check(self) -> Self:
        """Refuse neither and both."""
        if (self.listener is None) == (self.rule is None):
            raise ValueError("needs either `listener` or `rule`")
        return self


class Prometheus(_Part):
    """Where the metrics are; its targets of `job` have the label `revision`."""

    url: Annotated[str, Field(pattern=URL)] = "http://127.0.0.1:9090"
    job: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = "api"
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 3


class Limits(_Part):
    """What decides. Tolerances are differences of ratios, canary less stable."""

    # A step needs about 1,100 requests to the canary to show that errors are below this.
    errors: Annotated[float, Field(gt=0, le=0.1)] = 0.005
    tail: Annotated[float, Field(gt=0, le=0.2)] = 0.01
    # A tail that is surely longer by this is a fault.
    tail_surely: Annotated[float, Field(ge=0, le=0.2)] = 0.0025
    slower_chance: Annotated[float, Field(gt=0.5, lt=1)] = 0.55
    # Faster requests are alike: no client sees the difference.
    latency_floor_seconds: Annotated[float, Field(ge=0, le=10)] = 0.005


class Times(_Part):
    """Seconds. Every phase has a deadline; `hold` bounds the time without usable data."""

    poll: Annotated[float, Field(gt=0, le=60)] = 2
    step: Annotated[float, Field(gt=0, le=86_400)] = 600
    step_deadline: Annotated[float, Field(gt=0, le=604_800)] = 1800
    start_deadline: Annotated[float, Field(gt=0, le=86_400)] = 300
    shift_deadline: Annotated[float, Field(gt=0, le=3600)] = 60
    rollback_deadline: Annotated[float, Field(gt=0, le=86_400)] = 600
    drain_deadline: Annotated[float, Field(gt=0, le=86_400)] = 600
    hold: Annotated[float, Field(gt=0, le=3600)] = 60
    stale: Annotated[float, Field(gt=0, le=600)] = 15

    @model_validator(mode="after")
    def check(self) -> Self:
        """Refuse times that can never let a release through."""
        if self.step_deadline <= self.step:
            raise ValueError("step_deadline must be longer than step")
        if self.hold <= self.stale:
            raise ValueError("hold must be longer than stale")
        return self


class Checks(_Part):
    """What runs before a release; a command passes with the exit code 0, and 3 is `not checked`."""

    slo: bool = True
    schema_linter: tuple[str, ...] = (sys.executable, "-m", qualified("deploy.schema"), "lint")
    # What both revisions have to answer alike on the present schema.
    paths: Annotated[tuple[str, ...], Field(min_length=1)] = ("/api/v1/courses?limit=5",)


class Plan(_Part):
    """The plan of a release."""

    stable: Revision
    canary: Revision
    folder: Path
    strategy: Strategy = Strategy.CANARY
    steps: Annotated[tuple[Annotated[int, Field(ge=1, le=FULL)], ...], Field(min_length=1)] = (
        *(5, 25, 50),
        FULL,
    )
    nginx: Nginx | None = None
    alb: Alb | None = None
    prometheus: Prometheus = Prometheus()
    limits: Limits = Limits()
    times: Times = Times()
    checks: Checks = Checks()
    # While fewer of the stable instances are ready, traffic does not go back to them.
    stable_ready_share: Annotated[float, Field(gt=0, le=1)] = 0.5

    @model_validator(mode="after")
    def check(self) -> Self:
        """Refuse two names of one revision, and steps that do not grow to all traffic."""
        if self.stable.revision == self.canary.revision:
            raise ValueError("stable and canary are the same revision")
        if shared := set(self.stable.instances) & set(self.canary.instances):
            raise ValueError(f"{', '.join(sorted(shared))} is in both revisions")
        if list(self.steps) != sorted(set(self.steps)) or self.steps[-1] != FULL:
            raise ValueError(f"steps must grow, and end with {FULL}")
        if self.strategy is Strategy.CANARY and len(self.steps) == 1:
            raise ValueError("a canary has nothing beside it in its only step: use blue-green")
        if (self.nginx is None) == (self.alb is None):
            raise ValueError("needs either `nginx` or `alb`")
        look = self.times.poll + self.prometheus.timeout_seconds + ROUTER_SECONDS
        if self.times.hold <= look:
            raise ValueError(f"times.hold must be longer than a look may take, which is {look:g} s")
        return self

    def revision_of(self, track: Track) -> Revision:
        """Return one of the two revisions."""
        return self.stable if track is Track.STABLE else self.canary

    @property
    def weights(self) -> tuple[int, ...]:
        """The canary's percentages of the traffic, in order."""
        return (FULL,) if self.strategy is Strategy.BLUE_GREEN else self.steps


def load(path: Path) -> Plan:
    """Read a plan.

    Raises:
        PlanRefused: it can't be read; the message names each field and value.

    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Plan.model_validate(content)
    except OSError as error:
        raise PlanRefused(f"{path} can't be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PlanRefused(f"{path} is no YAML: {error}") from None
    except ValidationError as error:
        faults = (
            f"{path}: {'.'.join(map(str, each['loc'])) or 'the plan'}: "
            f"{each['msg'].removeprefix('Value error, ')}"
            for each in error.errors()
        )
        raise PlanRefused("\n".join(faults)) from None
