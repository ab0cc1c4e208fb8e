"""The type that an object's name says."""

import pytest

from infra.storage import stored_object


@pytest.mark.parametrize(
    ("key", "content_type"),
    [
        ("courses/1/320.webp", "image/webp"),
        ("exports/all.txt", "text/plain"),
        ("exports.txt/none", "application/octet-stream"),
        ("none", "application/octet-stream"),
    ],
)
def test_an_object_has_the_type_of_its_name(key, content_type):
    assert stored_object.type_of(key) == content_type


def test_an_image_is_one_on_a_machine_that_has_no_list_of_types(monkeypatch):
    monkeypatch.setattr(stored_object, "guess_type", lambda _: (None, None))
    assert stored_object.type_of("courses/1/320.webp") == "image/webp"
    assert stored_object.type_of("courses/1/320.gif") == "application/octet-stream"
