"""The application as an object, for tests of what it is made of."""

import logging

import pytest
import structlog
from sanic import Sanic

from api.app import create_app
from infra.settings import Settings


@pytest.fixture
def app():
    """The application, built and not started; what it does to the process is undone."""
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    app = create_app(Settings(_env_file=None))
    yield app
    Sanic.unregister_app(app)
    root.handlers[:], root.level = handlers, level
    structlog.configure(**config)
