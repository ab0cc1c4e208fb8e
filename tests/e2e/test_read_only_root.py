"""An API that can write to no file system serves, and what it can't keep is named."""

import subprocess

import httpx
import pytest

from services.flags.registry import SEARCHES
from tests.absent import is_absent
from tests.security.servers import own_api

# A mount namespace of its own, in which nothing can be written.
READ_ONLY = """
for folder in / /tmp /var/tmp /dev/shm; do
  mount --bind $folder $folder && mount -o remount,ro,bind $folder
done
exec "$@"
"""
WITHIN = ("unshare", "--mount", "sh", "-ec", READ_ONLY, "sh")


@pytest.fixture(autouse=True)
def _may_mount():
    if subprocess.run((*WITHIN, "true"), check=False, capture_output=True).returncode:
        is_absent("right to mount", "nothing; run as root")


async def test_the_api_serves_from_a_read_only_root(service, api, tmp_path):
    flag = f"/admin/flags/{SEARCHES.name}"
    assert (await api.call("PUT", flag, json={"enabled": True})).status_code == 200
    async with (
        own_api(service, tmp_path, within=WITHIN) as server,
        httpx.AsyncClient(base_url=server.address) as client,
    ):
        assert (await client.get("/api/v1/courses")).status_code == 200
    (kept,) = [line for line in (tmp_path / "log").read_text().splitlines() if "not_kept" in line]
    assert "Read-only file system: '" in kept
    assert (await api.call("DELETE", flag)).status_code == 204
