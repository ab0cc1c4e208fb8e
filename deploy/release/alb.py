"""A load balancer of AWS as the router: the weights of two target groups."""

from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from deploy.release.plan import FULL, Plan, Track
from deploy.release.ports import RouterFault

CONFIG = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2})
HEALTHY = "healthy"


class AlbRouter:
    """A rule of a listener, or its default action; requests are not bound to a group."""

    def __init__(self, plan: Plan) -> None:
        assert plan.alb is not None  # noqa: S101  the plan has no other router
        self._alb = alb = plan.alb
        self._groups = {Track.STABLE: alb.stable_group, Track.CANARY: alb.canary_group}
        session: Any = boto3.Session()
        self._client: Any = session.client(
            "elbv2", region_name=alb.region, endpoint_url=alb.endpoint_url, config=CONFIG
        )

    def set_weight(self, weight: int) -> None:
        """Set the weights of both groups.

        Raises:
            RouterFault: AWS refuses it.

        """
        shares = {Track.STABLE: FULL - weight, Track.CANARY: weight}
        groups = [
            {"TargetGroupArn": self._groups[track], "Weight": share}
            for track, share in shares.items()
        ]
        forward = {
            "TargetGroups": groups,
            "TargetGroupStickinessConfig": {"Enabled": False},
        }
        actions = [{"Type": "forward", "ForwardConfig": forward}]
        if self._alb.rule:
            self._call("modify_rule", RuleArn=self._alb.rule, Actions=actions)
        else:
            self._call("modify_listener", ListenerArn=self._alb.listener, DefaultActions=actions)

    def weight(self) -> int | None:
        """Return the canary's weight; None if the groups or the sum are others.

        Raises:
            RouterFault: AWS does not tell.

        """
        if self._alb.rule:
            found = self._call("describe_rules", RuleArns=[self._alb.rule])["Rules"]
            actions = found[0]["Actions"]
        else:
            found = self._call("describe_listeners", ListenerArns=[self._alb.listener])
            actions = found["Listeners"][0]["DefaultActions"]
        groups = [
            group
            for action in actions
            for group in action.get("ForwardConfig", {}).get("TargetGroups", ())
        ]
        weights = {group["TargetGroupArn"]: group.get("Weight", 1) for group in groups}
        if weights.keys() != set(self._groups.values()) or sum(weights.values()) != FULL:
            return None
        return int(weights[self._alb.canary_group])

    def ready(self, track: Track) -> float:
        """Return the share of a group's targets that are healthy; 0 of none.

        A group that gets no traffic has its health checked too, if its targets are registered and
        the listener names it.

        Raises:
            RouterFault: AWS does not tell.

        """
        found = self._call("describe_target_health", TargetGroupArn=self._groups[track])
        states = [each["TargetHealth"]["State"] for each in found["TargetHealthDescriptions"]]
        return states.count(HEALTHY) / len(states) if states else 0.0

    def _call(self, name: str, **arguments: Any) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = getattr(self._client, name)(**arguments)
        except (BotoCoreError, ClientError) as error:
            raise RouterFault(f"{name} failed: {error}") from None
        return answer
