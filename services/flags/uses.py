"""When each flag was last evaluated, so that flags that nobody needs are found."""

from infra.observability import logs
from infra.observability.events import Event
from services.flags import store

# Writes which of the declared flags ($1) a process has evaluated ($2). A row of a flag that nobody
# evaluates says since when it is declared. Of many processes that evaluate a flag, one a minute
# writes.
FLUSH = """
    INSERT INTO feature_flag_uses AS known (name, last_evaluated_at)
    SELECT name, CASE WHEN name = ANY($2::text[]) THEN now() END
    FROM unnest($1::text[]) AS name ORDER BY name
    ON CONFLICT (name) DO UPDATE SET last_evaluated_at = now()
    WHERE excluded.last_evaluated_at IS NOT NULL
      AND coalesce(known.last_evaluated_at < now() - interval '50 seconds', true)
"""

log = logs.get_logger(__name__)


async def report_stale() -> list[str]:
    """Log each flag that was not evaluated for long; return their names."""
    stale = [flag for flag in await store.list_flags() if flag.is_stale]
    for flag in stale:
        last = flag.last_evaluated_at
        log.warning(
            Event.FLAG_STALE,
            flag=flag.name,
            owner=flag.declared.owner if flag.declared else None,
            last_evaluated_at=last.isoformat() if last else None,
        )
    return [flag.name for flag in stale]
