"""Who is logged in: a session is a family of refresh tokens, each good for one use."""

from tortoise import Model, fields
from tortoise.fields.db_defaults import Now
from uuid_utils.compat import uuid7

from models.indexes import SqlIndex
from models.user import User


class Session(Model):
    """What a login opened; its id is in every token that comes of it.

    `expires_at` is its end whatever happens. `tokens_until` is when the last of its access tokens
    ends: a revoked session is remembered that long. A trigger notifies `revocations` of its end.
    """

    id = fields.UUIDField(primary_key=True, default=uuid7)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="sessions", db_index=False
    )
    created_at = fields.DatetimeField(db_default=Now())
    expires_at = fields.DatetimeField()
    tokens_until = fields.DatetimeField()
    revoked_at = fields.DatetimeField(null=True)

    class Meta:
        """Indexes: what the feed of revocations, ending a user's sessions and pruning ask for."""

        table = "sessions"
        indexes = (
            SqlIndex(
                "ix_sessions_revoked",
                "(revoked_at) WHERE revoked_at IS NOT NULL",
                fields=["revoked_at"],
            ),
            SqlIndex("ix_sessions_open", "(user_id) WHERE revoked_at IS NULL", fields=["user_id"]),
            SqlIndex("ix_sessions_expires", "(expires_at)", fields=["expires_at"]),
        )


class RefreshToken(Model):
    """A refresh token, known by its SHA-256 only: 64 hexadecimal digits.

    The token that follows it is the HMAC of it and `successor_nonce`, 64 hexadecimal digits: who
    presents it again within the overlap gets the same one, and the row does not hold it.
    """

    digest = fields.CharField(max_length=64, primary_key=True)
    session: fields.ForeignKeyRelation[Session] = fields.ForeignKeyField(
        "models.Session", related_name="refresh_tokens", db_index=False
    )
    expires_at = fields.DatetimeField()
    used_at = fields.DatetimeField(null=True)
    successor_nonce = fields.CharField(max_length=64, null=True)

    class Meta:
        """Indexes: what ends with a session, and pruning."""

        table = "refresh_tokens"
        indexes = (
            SqlIndex("ix_refresh_tokens_session", "(session_id)", fields=["session_id"]),
            SqlIndex("ix_refresh_tokens_expires", "(expires_at)", fields=["expires_at"]),
        )
