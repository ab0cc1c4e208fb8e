"""People who log in."""

from enum import StrEnum

from tortoise import Model, fields
from tortoise.fields.db_defaults import Now
from uuid_utils.compat import uuid7


# The constraint ck_users_role holds the same list.
class Role(StrEnum):
    """What a person may do."""

    ADMIN = "admin"
    STUDENT = "student"


class User(Model):
    """An account; the hash is passlib's, so old `$2a$` ones verify."""

    id = fields.UUIDField(primary_key=True, default=uuid7)
    username = fields.CharField(max_length=255, unique=True)
    password_hash = fields.CharField(max_length=255)
    role = fields.CharEnumField(Role, max_length=16)
    created_at = fields.DatetimeField(db_default=Now())

    class Meta:
        """Table name."""

        table = "users"
