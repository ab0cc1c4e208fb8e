"""The contracts of what packages plug in: classes of tests for pytest with pytest-asyncio.

A package's own test class inherits one, and gives the fixture that its docstring names. Its tests
have to run on one event loop, with `asyncio_mode = "auto"`.
"""

import pytest

pytest.register_assert_rewrite(
    *(f"{__name__}.{contract}" for contract in ("brokers", "cache", "hooks", "storage", "tasks"))
)
