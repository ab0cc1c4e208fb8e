"""A worker with short times: the same code, so that a fault takes seconds instead of minutes."""

import os
import signal
from uuid import UUID

from fault_effects import meet

import worker.app
import worker.execution
import worker.relay
from services import leases
from services.leases import Claim
from worker.cli import main

leases.LEASE_SECONDS = 2.0
leases.BACKOFF = "make_interval(secs => 0.1 + random() / 5)"
worker.app.app.tasks["fault.hung"].time_limit = 2
worker.execution.HEARTBEAT_SECONDS = 0.5
worker.relay.PUBLISHED_LEASE_SECONDS = 4.0
worker.relay.LOST_AFTER_SECONDS = 1.0
worker.relay.PROBE_SECONDS = 1.0


def die_before_claims() -> None:
    """Let those die who have taken a message and not yet claimed its task."""
    claim = leases.claim

    async def claiming(task_id: UUID, worker: str) -> Claim | None:
        meet("before the claim", task_id)
        return await claim(task_id, worker)

    leases.claim = claiming


def die_while_publishing() -> None:
    """Kill this worker when the relay has marked a batch and made five messages of it."""
    send, sent = worker.relay.Relay._send, []  # noqa: SLF001  the place between two statements

    def sending(self: worker.relay.Relay, row: object) -> None:
        if len(sent) == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        sent.append(row)
        send(self, row)

    worker.relay.Relay._send = sending  # noqa: SLF001


die_before_claims()
match os.environ.get("FAULT"):
    case "die while publishing":
        die_while_publishing()
    case "no heartbeat":
        worker.execution.HEARTBEAT_SECONDS = 3600
if __name__ == "__main__":
    main()
