"""The application's context; handlers access it as `request.app.ctx`."""

import socket
from collections.abc import Collection
from contextlib import AsyncExitStack
from types import SimpleNamespace

from sanic import Sanic
from sanic.config import Config

from api import middleware
from api.health import HealthQueries
from api.protocol.fast_path import FastPath
from api.protocol.write_buffers import WriteBuffers
from api.security.cors import Origins
from api.security.rate_limits import Limits
from api.security.sse_limits import Streams
from infra.cache import ResponseCache
from infra.db.change_ring import ChangeRing
from infra.db.replica import ReplicaRouter
from infra.key_ring import KeyRing
from infra.session_list import SessionList
from infra.settings import Settings
from infra.storage import Storage
from infra.storage.object_cache import ObjectCache
from services.audit.denied import DeniedAudit
from services.auth.revocations import Revocations
from services.enrollments.enroll import Enroller
from services.flags.evaluate import Flags
from services.flags.feed import FlagFeed


class Context(SimpleNamespace):
    """The resources of one server process; `api.lifespan` opens those not set by `create_app`."""

    settings: Settings
    storage: Storage
    object_cache: ObjectCache
    cache: ResponseCache
    replica_router: ReplicaRouter
    health: HealthQueries
    keys: KeyRing
    limits: Limits
    denied_audit: DeniedAudit
    sessions: SessionList
    revocations: Revocations
    fast_path: FastPath
    origins: Origins
    complete: middleware.Complete
    begin: middleware.Begin
    end: middleware.End
    write_buffers: WriteBuffers
    enroller: Enroller
    flags: Flags
    flag_feed: FlagFeed
    resources: AsyncExitStack
    change_ring: ChangeRing
    streams: Streams
    metrics_sender: socket.socket | None
    # Sanic's own set of this process's connections.
    connections: Collection[object]
    # False from the moment at which the instance is told to stop.
    is_ready: bool
    # No connection is kept for another request.
    is_draining: bool


Application = Sanic[Config, Context]
