"""DATA_DIR is closed to other users of the machine, on the first start and on later ones."""

import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import asyncpg
import pytest

from deploy.embedded import servers
from deploy.embedded.data_dir import DataDir
from deploy.embedded.process import UNPRIVILEGED_UID
from infra import key_ring
from infra.process.private_files import data_folder, private_folder
from infra.settings import Settings

STRANGER = 54321
# Becomes another user, then tries to list, open, write and lock each path of its input.
TRY = """
import fcntl, json, os, sys
user = int(sys.argv[1])
os.setgroups([])
os.setresgid(user, user, user)
os.setresuid(user, user, user)
done = []
def tries(name, path, act):
    try:
        act(path)
    except OSError:
        return
    done.append([name, path])
def lock(path):
    with open(path) as file:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
for path in json.load(sys.stdin):
    tries("list", path, os.listdir)
    tries("open", path, lambda path: os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK)))
    tries("write", path, lambda path: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK)))
    tries("lock", path, lock)
    tries("make", path, lambda path: os.mkdir(path + "/made by a stranger"))
print(json.dumps(done))
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")


def accessible_to(user, folder):
    """Return what another user can do with the files of a folder."""
    paths = [str(folder), *(str(path) for path in sorted(folder.rglob("*")))]
    tried = subprocess.run(
        (sys.executable, "-I", "-c", TRY, str(user)),
        input=json.dumps(paths),
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    return json.loads(tried.stdout)


@pytest.fixture
def folder():
    """A data folder below folders that every user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="enroll-private-") as parent:
        Path(parent).chmod(0o711)
        yield Path(parent) / "data"


@pytest.fixture(autouse=True)
def umask():
    """Makes new files readable for all, as most systems do."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@as_root
async def test_other_users_reach_nothing_and_postgresqls_user_only_its_folder(folder):
    settings = Settings(_env_file=None, data_dir=folder)
    async with servers.running(folder, fsync=False) as chosen:
        key_ring.rotate(settings, keep_seconds=60)
        (folder / "logs" / "api.log").write_text("1.2.3.4 ada@example.org", encoding="utf-8")
        assert not accessible_to(STRANGER, folder)

        of_the_database = {path for _, path in accessible_to(UNPRIVILEGED_UID, folder)}
        assert of_the_database
        own = folder / "postgres"
        assert all(Path(path).is_relative_to(own) for path in of_the_database)
        # PostgreSQL reads no more than its own user may.
        database = await asyncpg.connect(chosen.environment["DATABASE_URL"])
        for path in (folder / "secrets.json", Path("/etc/shadow")):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await database.fetchval("SELECT pg_read_file($1)", str(path))
        await database.close()


@as_root
async def test_an_open_folder_is_closed_at_start(folder):
    async with servers.running(folder, fsync=False):
        pass
    key_ring.rotate(Settings(_env_file=None, data_dir=folder), keep_seconds=60)
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and "postgres" not in path.parts:
            path.chmod(0o755)
        elif path.is_file() and "postgres" not in path.parts:
            path.chmod(path.stat().st_mode | 0o044 if path.name != "secrets.json" else 0o600)
    assert accessible_to(STRANGER, folder)
    async with servers.running(folder, {"cache"}):
        assert not accessible_to(STRANGER, folder)


def test_folders_are_private_under_any_umask(tmp_path):
    expected = 0o711 if os.geteuid() == 0 else 0o700
    data = tmp_path / "a" / "data"
    assert stat.S_IMODE(private_folder(data / "run").stat().st_mode) == 0o700
    assert stat.S_IMODE(data.stat().st_mode) == expected
    data.chmod(0o777)
    assert stat.S_IMODE(data_folder(data).stat().st_mode) == expected
    data.chmod(0o1777)
    assert stat.S_IMODE(data_folder(data).stat().st_mode) == 0o1777, "a shared folder stays one"


def test_the_start_closes_files_that_servers_left_open(tmp_path):
    (tmp_path / "valkey-broker").mkdir(mode=0o755)
    DataDir(tmp_path)
    for name in ("logs", "run", "valkey-broker"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700
