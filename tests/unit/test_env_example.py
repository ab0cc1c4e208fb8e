"""`.env.example` lists every setting with its real default, and nothing else."""

import re
from pathlib import Path

import pytest
from dotenv import dotenv_values
from pydantic import SecretStr

from infra.settings import Settings
from services.images.headers import MOST_PIXELS, PROGRESSIVE

EXAMPLE = Path(__file__).parents[2] / ".env.example"
SETTING = re.compile(r"^(#?)([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)


@pytest.fixture
def defaults(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return Settings(_env_file=None)


def _plain(value):
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return value


def test_it_lists_each_setting_once_and_nothing_else():
    names = [name for _, name, _ in SETTING.findall(EXAMPLE.read_text())]
    assert sorted(names) == sorted(name.upper() for name in Settings.model_fields)


def test_the_unchanged_file_changes_no_setting(defaults):
    assert Settings(_env_file=EXAMPLE) == defaults


def test_each_line_shows_the_default(defaults):
    shown = dotenv_values(EXAMPLE)
    for name, text in shown.items():
        value = _plain(getattr(defaults, name.lower()))
        if isinstance(value, bool):
            assert text == str(value).lower(), name
        elif isinstance(value, tuple):
            assert text == ",".join(value), name
        elif isinstance(value, float):
            assert float(text) == value, name
        else:
            assert text == str(value), name


def test_only_settings_without_a_default_are_commented_out(defaults):
    hidden = {name for hash_sign, name, _ in SETTING.findall(EXAMPLE.read_text()) if hash_sign}
    without = {name.upper() for name, value in defaults if value is None}
    assert hidden == without


def test_commented_examples_are_valid(tmp_path, defaults):
    file = tmp_path / "all.env"
    file.write_text(re.sub(r"^#([A-Z])", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE))
    settings = Settings(_env_file=file)
    assert settings.database.startswith("postgresql://")
    assert settings.storage.startswith("s3://")


def test_the_limits_of_images_are_those_of_the_code():
    text = " ".join(EXAMPLE.read_text().replace("#", " ").split())
    most = {kind: f"{pixels / 1e6:g} million" for kind, pixels in MOST_PIXELS.items()}
    assert most["PNG"] == most["GIF"] == most[PROGRESSIVE]
    assert f"a {PROGRESSIVE}, a PNG or a GIF has at most {most['PNG']} pixels" in text
    assert f"and a WebP {most['WEBP']}" in text
