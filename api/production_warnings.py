"""Warns of settings that production allows but should avoid."""

from api.routes import media
from infra.observability import logs
from infra.observability.events import Event
from infra.settings import Environment, Settings

# A stolen token stays valid for its lifetime unless its user logs out; clients can refresh theirs.
ADVISED_TOKEN_SECONDS = 60 * 60

log = logs.get_logger(__name__)


def advise(settings: Settings) -> None:
    """Log a warning for each setting that production should avoid."""
    if settings.environment is not Environment.PRODUCTION:
        return
    if settings.storage_public_url is None and not media.are_served_here(settings):
        log.warning(
            Event.IMAGES_WITHOUT_NOSNIFF,
            setting="STORAGE_PUBLIC_URL",
            advised="this service's own /media, or a CDN before it; a bucket can't say nosniff",
        )
    lifetime = settings.token_lifetime_seconds
    if lifetime > ADVISED_TOKEN_SECONDS:
        log.warning(
            Event.TOKENS_LIVE_LONG,
            setting="TOKEN_LIFETIME_SECONDS",
            seconds=lifetime,
            advised=ADVISED_TOKEN_SECONDS,
        )
