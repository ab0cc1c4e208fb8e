"""Accounts."""

from enum import StrEnum

from tortoise import Model, fields
from tortoise.fields.db_defaults import Now
from uuid_utils.compat import uuid7

from models.indexes import SqlIndex


# The constraint ck_users_role holds the same list.
class Role(StrEnum):
    """The role of an account."""

    ADMIN = "admin"
    STUDENT = "student"


class User(Model):
    """An account; the hash is passlib's, so old `$2a$` ones verify.

    A trigger ends the sessions of a user who is disabled or gets another role.
    """

    id = fields.UUIDField(primary_key=True, default=uuid7)
    username = fields.CharField(max_length=255, unique=True)
    password_hash = fields.CharField(max_length=255)
    role = fields.CharEnumField(Role, max_length=16)
    created_at = fields.DatetimeField(db_default=Now())
    disabled_at = fields.DatetimeField(null=True)

    class Meta:
        """Index: the hashes of the old service that are left."""

        table = "users"
        indexes = (
            SqlIndex(
                "ix_users_old_hashes",
                "(\"left\"((password_hash)::text, 7)) WHERE ((password_hash)::text ~~ '$2%'::text)",
            ),
        )
