"""The key ring: which key signs, which keys are trusted, and for how long."""

import json
import os
import stat
import time
from itertools import pairwise
from pathlib import Path

import pytest

from infra import key_ring
from infra.key_ring import KeyRing, rotate, settings_kid
from infra.settings import Settings, SettingsError

ONE, TWO, THREE = ("one-" * 10, "two-" * 10, "three-" * 10)


@pytest.fixture
def settings_of(tmp_path):
    """Makes the settings of one machine."""

    def make(**values):
        return Settings(_env_file=None, **{"data_dir": tmp_path, "jwt_secret": ONE} | values)

    return make


def test_the_secret_signs_with_the_same_key_id_everywhere(settings_of):
    ring = KeyRing(settings_of())
    assert ring.signing() == (settings_kid(ONE), ONE)
    assert ring.find(settings_kid(ONE)) == ONE
    assert ONE not in settings_kid(ONE)


def test_instances_change_the_secret_by_settings_without_an_interruption(settings_of):
    # The steps of docs/security.md; old and new instances run side by side at each.
    steps = [(ONE, ()), (ONE, (TWO,)), (TWO, (ONE,)), (TWO, ())]
    rings = [KeyRing(settings_of(jwt_secret=one, jwt_keys=more)) for one, more in steps]
    for before, after in pairwise(rings[:-1]):
        assert after.find(before.signing()[0]) == before.signing()[1]
        assert before.find(after.signing()[0]) == after.signing()[1]
    # The last step follows when the last token of the old key has expired.
    assert rings[-1].find(settings_kid(ONE)) is None


def test_after_a_rotation_the_new_key_signs_and_the_old_is_trusted(settings_of):
    settings = settings_of()
    ring = KeyRing(settings)
    first = rotate(settings, keep_seconds=100)
    second = rotate(settings, keep_seconds=100)
    assert ring.find(second)
    assert ring.signing()[0] == second
    assert [key.kid for key in ring.keys] == [second, first, settings_kid(ONE)]
    assert ring.find(first)
    assert ring.find(settings_kid(ONE)) == ONE
    assert len({key.secret for key in ring.keys}) == 3
    assert all(len(key.secret) >= 32 for key in ring.keys)


def test_an_old_key_is_trusted_for_a_limited_time(settings_of, monkeypatch):
    settings = settings_of()
    first = rotate(settings, keep_seconds=100)
    rotate(settings, keep_seconds=100)
    ring = KeyRing(settings)
    later = time.time() + 101
    monkeypatch.setattr(key_ring.time, "time", lambda: later)
    assert ring.find(first) is None
    assert ring.find(settings_kid(ONE)) is None
    third = rotate(settings, keep_seconds=100)
    stored = json.loads(key_ring.key_file(settings).read_text())["keys"]
    # The expired key is deleted; for the settings' key the file records that it has expired.
    assert first not in {each["kid"] for each in stored}
    ring = KeyRing(settings)
    assert (ring.signing()[0], ring.find(settings_kid(ONE))) == (third, None)


def test_a_second_rotation_does_not_extend_the_trust(settings_of, monkeypatch):
    settings = settings_of()
    rotate(settings, keep_seconds=100)
    now = time.time()
    monkeypatch.setattr(key_ring.time, "time", lambda: now + 60)
    rotate(settings, keep_seconds=100)
    monkeypatch.setattr(key_ring.time, "time", lambda: now + 110)
    assert KeyRing(settings).find(settings_kid(ONE)) is None


def test_a_revoked_key_is_distrusted_at_once(settings_of):
    settings = settings_of()
    first = rotate(settings, keep_seconds=100)
    ring = KeyRing(settings)
    second = rotate(settings, keep_seconds=0)
    assert ring.find(second)
    assert (ring.find(first), ring.find(settings_kid(ONE))) == (None, None)


def test_the_file_is_private_and_does_not_contain_the_settings_secret(settings_of):
    settings = settings_of()
    rotate(settings, keep_seconds=100)
    path = key_ring.key_file(settings)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ONE not in path.read_text()


def test_a_damaged_file_is_an_error_at_start_and_ignored_later(settings_of):
    settings = settings_of()
    kid = rotate(settings, keep_seconds=100)
    ring = KeyRing(settings)
    key_ring.key_file(settings).write_text('{"keys": [')
    assert ring.find("another") is None
    assert ring.signing()[0] == kid
    with pytest.raises(SettingsError, match=r"^the keys in .*keys\.json can't be used: "):
        KeyRing(settings)


def test_a_key_added_while_the_file_is_read_is_not_missed(settings_of, monkeypatch):
    settings = settings_of()
    rotate(settings, keep_seconds=100)
    read, came = Path.read_text, []

    def read_slowly(path, **options):
        found = read(path, **options)
        monkeypatch.setattr(Path, "read_text", read)
        came.append(rotate(settings, keep_seconds=100))
        return found

    monkeypatch.setattr(Path, "read_text", read_slowly)
    ring = KeyRing(settings)
    assert ring.find(came[0])


def test_keys_from_the_settings_cannot_be_rotated(settings_of):
    with pytest.raises(SettingsError, match=r"^JWT_KEYS is set"):
        rotate(settings_of(jwt_keys=(TWO, THREE)), keep_seconds=100)
    assert not key_ring.key_file(settings_of()).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_rotation_by_root_is_readable_by_the_services_user(settings_of, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    settings = settings_of(data_dir=folder)
    rotate(settings, keep_seconds=100)
    assert key_ring.key_file(settings).stat().st_uid == 65534
