"""The dashboards: one definition for Grafana and for the consoles of Prometheus.

`python -m deploy.observe.dashboards` writes both, `--check` fails if a file differs.
"""

from deploy.observe.dashboards import (
    cache,
    database,
    nginx,
    node,
    objectives,
    postgres,
    redis,
    service,
    tasks,
)
from deploy.observe.dashboards.definition import Dashboard

DASHBOARDS: tuple[Dashboard, ...] = (
    service.DASHBOARD,
    objectives.DASHBOARD,
    tasks.DASHBOARD,
    cache.DASHBOARD,
    database.DASHBOARD,
    node.DASHBOARD,
    postgres.DASHBOARD,
    redis.DASHBOARD,
    nginx.DASHBOARD,
)
