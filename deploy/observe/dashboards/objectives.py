"""The service level objectives and what is left of their error budgets."""

from deploy.observe.dashboards.definition import (
    Level,
    Query,
    Threshold,
    Unit,
    dashboard,
    figure,
    graph,
    row,
)

# Of deploy/slo.yaml, by the rules in deploy/observe/rules/slo.rules.yml.
_LEGEND = "{{sloth_slo}}"
_LEFT = (Threshold(0.25, Level.WARNING, below=True), Threshold(0, below=True))
_BURN = (Threshold(1, Level.WARNING), Threshold(14.4))

DASHBOARD = dashboard(
    "objectives",
    "Objectives",
    "The objectives of deploy/slo.yaml over 30 days, and what is left of their error budgets.",
    row(
        "Error budgets",
        figure(
            "Left of the budget",
            Unit.RATIO,
            "1 is untouched; at 0 the objective is missed: enroll slo gate refuses.",
            Query("slo:period_error_budget_remaining:ratio", _LEGEND),
            thresholds=_LEFT,
            width=24,
        ),
        figure(
            "Objective",
            Unit.RATIO,
            "Share of good events.",
            Query("slo:objective:ratio", _LEGEND),
            width=24,
        ),
    ),
    row(
        "Burn",
        graph(
            "Burn rate now",
            Unit.COUNT,
            "1 spends the budget in exactly 30 days; 14.4 for an hour pages.",
            Query("slo:current_burn_rate:ratio", _LEGEND),
            thresholds=_BURN,
            width=12,
        ),
        graph(
            "Left of the budget",
            Unit.RATIO,
            "Over time.",
            Query("slo:period_error_budget_remaining:ratio", _LEGEND),
            thresholds=_LEFT,
            width=12,
        ),
        graph(
            "Errors in 5 minutes",
            Unit.RATIO,
            "Share of the events.",
            Query("slo:sli_error:ratio_rate5m", _LEGEND),
            width=12,
        ),
        graph(
            "Errors in an hour",
            Unit.RATIO,
            "Share of the events.",
            Query("slo:sli_error:ratio_rate1h", _LEGEND),
            width=12,
        ),
    ),
    row(
        "Alerts",
        graph(
            "Firing",
            Unit.COUNT,
            "Watchdog fires always: it shows that alerts work.",
            Query(
                'sum by (alertname, severity) (ALERTS{alertstate="firing"})',
                "{{alertname}} ({{severity}})",
            ),
            stacked=True,
            width=24,
        ),
    ),
)
