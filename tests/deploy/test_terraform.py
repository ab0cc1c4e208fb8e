"""deploy/terraform as Terraform reads it: its form, and the reference's security properties."""

import re

import pytest

from tests.terraform import SOURCE, events, faults, initialised, terraform

ASSERTION = re.compile(r'error_message = "(.+)"')


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An initialised copy of the configuration."""
    return initialised(tmp_path_factory.mktemp("aws"))


def test_files_have_terraforms_format(folder):
    done = terraform(folder, "fmt", "-check", "-recursive")
    assert (done.returncode, done.stdout) == (0, "")


def test_each_security_property_holds(folder):
    done = terraform(folder, "test", "-json")
    assert faults(done) == []
    (summary,) = (
        event["test_summary"] for event in events(done) if event["type"] == "test_summary"
    )
    runs = sum(text.count('\nrun "') for text in _tests().values())
    assert (summary["status"], summary["passed"]) == ("pass", runs)
    assert done.returncode == 0


def test_a_property_that_no_longer_holds_is_named(folder):
    storage = folder / "storage.tf"
    text = storage.read_text("utf-8")
    storage.write_text(
        text.replace("restrict_public_buckets = true", "restrict_public_buckets = false")
    )
    try:
        done = terraform(folder, "test", "-json", "-filter=tests/inside.tftest.hcl")
    finally:
        storage.write_text(text)
    assert done.returncode == 1
    assert faults(done) == [
        "Test assertion failed: S3 is private: no bucket can be made public",
    ]


def test_each_property_has_a_name_of_its_own():
    names = [name for text in _tests().values() for name in ASSERTION.findall(text)]
    assert len(names) == len(set(names)) > 50


def _tests():
    return {path: path.read_text("utf-8") for path in sorted(SOURCE.glob("tests/*.tftest.hcl"))}
