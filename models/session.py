"""Sessions: a session is a family of refresh tokens, each valid for one use."""

from tortoise import Model, fields
from tortoise.fields.db_defaults import Now
from uuid_utils.compat import uuid7

from models.indexes import SqlIndex
from models.user import User


class Session(Model):
    """A login's session; every token of the login has its id.

    It ends at `expires_at` at the latest. Its last access token expires at `tokens_until`: a
    revoked session is remembered until then. A trigger notifies `revocations` of its end.
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
            SqlIndex("ix_sessions_revoked", "(revoked_at) WHERE revoked_at IS NOT NULL"),
            SqlIndex("ix_sessions_open", "(user_id) WHERE revoked_at IS NULL"),
            SqlIndex("ix_sessions_expires", "(expires_at)"),
        )


class RefreshToken(Model):
    """A refresh token, stored as its SHA-256 only: 64 hexadecimal digits.

    Its successor is the HMAC of the token and `successor_nonce`, 64 hexadecimal digits: a second
    use within the overlap gets the same successor, which the row does not hold.
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
            SqlIndex("ix_refresh_tokens_session", "(session_id)"),
            SqlIndex("ix_refresh_tokens_expires", "(expires_at)"),
        )
