"""The content type of a stored object follows from its name."""

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
    assert stored_object.guess_content_type(key) == content_type


def test_images_have_their_type_without_the_systems_list_of_types(monkeypatch):
    monkeypatch.setattr(stored_object, "guess_type", lambda _: (None, None))
    assert stored_object.guess_content_type("courses/1/320.webp") == "image/webp"
    assert stored_object.guess_content_type("courses/1/320.gif") == "application/octet-stream"
