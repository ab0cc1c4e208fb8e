"""An environment of its own for each fault."""

import pytest

from tests.faults import harness
from tests.faults.cgroup import make_memory_cgroup


@pytest.fixture(scope="session")
async def shared_machine(tmp_path_factory):
    """Servers for the tests that do not break them."""
    async with harness.machine(tmp_path_factory.mktemp("machine")) as servers:
        yield servers


@pytest.fixture
async def site(shared_machine, tmp_path):
    """A new database and broker."""
    async with harness.site(shared_machine, tmp_path) as made:
        yield made


@pytest.fixture
async def own_site(tmp_path):
    """The same on servers that the test may break."""
    tmp_path.chmod(0o755)
    async with harness.machine(tmp_path) as servers, harness.site(servers, tmp_path) as made:
        yield made


@pytest.fixture
def memory_cgroup():
    """A control group of 64 MB, or None if the kernel allows none."""
    group = make_memory_cgroup()
    yield str(group or "")
    if group:
        group.rmdir()
