"""The application's context: what handlers reach by `request.app.ctx`."""

import socket
from contextlib import AsyncExitStack
from types import SimpleNamespace

from sanic import Sanic
from sanic.config import Config

from api import middleware
from api.cors import Origins
from api.limits import Limits
from api.monitors import Monitors
from api.shortcut import Shortcut
from api.streams import Streams
from api.write_buffers import WriteBuffers
from infra.cache import AnswerCache, Shared
from infra.keys import KeyRing
from infra.replica import Reports
from infra.session_list import SessionList
from infra.settings import Settings
from infra.storage import Storage
from infra.storage.recent import Recent
from services.group_commit import GroupCommit
from services.refusals import Refusals
from services.revocations import Revocations
from services.turns import Turns


class Context(SimpleNamespace):
    """The parts of one server process; those without a default are opened by `api.lifespan`."""

    settings: Settings
    storage: Storage
    recent: Recent
    cache: AnswerCache
    reports: Reports
    monitors: Monitors
    keys: KeyRing
    limits: Limits
    refusals: Refusals
    sessions: SessionList
    revocations: Revocations
    shortcut: Shortcut
    origins: Origins
    complete: middleware.Complete
    write_buffers: WriteBuffers
    turns: Turns
    together: GroupCommit
    resources: AsyncExitStack
    shared: Shared
    streams: Streams
    metrics_sender: socket.socket | None


Application = Sanic[Config, Context]
