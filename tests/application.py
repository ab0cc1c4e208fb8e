"""The application object, for tests of its parts."""

import logging

import pytest
import structlog
from sanic import Sanic

from api.app import create_app
from infra.settings import Settings


@pytest.fixture
def app():
    """The application, built and not started; its changes of the process are undone."""
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    app = create_app(Settings(_env_file=None))
    yield app
    Sanic.unregister_app(app)
    root.handlers[:], root.level = handlers, level
    structlog.configure(**config)
