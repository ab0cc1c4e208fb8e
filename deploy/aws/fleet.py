"""The two colours of instances: which serves, which image each runs, starting and stopping one."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import boto3

FULL = 100


class FleetError(Exception):
    """The fleet is not as a release needs it; the message says how."""


@dataclass(frozen=True)
class Config:
    """What Terraform tells the operations host.

    `groups` has the ARN of each colour's target group. `minimum` is of the instances that serve.
    """

    name: str
    region: str
    repository: str
    listener: str
    groups: dict[str, str]
    minimum: int
    api_port: int

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file that Terraform wrote.

        Raises:
            FleetError: it can't be read.

        """
        try:
            return cls(**json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise FleetError(f"{path} is not what Terraform writes: {error}") from None


class Fleet:
    """The instances of both colours, by AWS's APIs."""

    def __init__(self, config: Config, *, poll_seconds: float = 5) -> None:
        """Take the instance's role; AWS_ENDPOINT_URL leads to another server in tests."""
        self._config = config
        self._poll_seconds = poll_seconds
        client: Any = boto3.client
        self._autoscaling, self._balancer, self._ec2, self._parameters = (
            client(service, region_name=config.region)
            for service in ("autoscaling", "elbv2", "ec2", "ssm")
        )

    def serving(self) -> str:
        """Return the colour that has all traffic.

        Raises:
            FleetError: both have some: an earlier release has not ended.

        """
        listeners = self._balancer.describe_listeners(ListenerArns=[self._config.listener])
        action = listeners["Listeners"][0]["DefaultActions"][0]
        weights = {
            group["TargetGroupArn"]: group["Weight"]
            for group in action["ForwardConfig"]["TargetGroups"]
        }
        served = {colour for colour, arn in self._config.groups.items() if weights.get(arn)}
        if len(served) != 1:
            raise FleetError(f"traffic goes to {sorted(served)}: an earlier release has not ended")
        return served.pop()

    def other(self, colour: str) -> str:
        """Return the other colour."""
        (other,) = self._config.groups.keys() - {colour}
        return other

    def desired(self, colour: str) -> int:
        """Return how many instances a colour is to have."""
        return int(self._group(colour)["DesiredCapacity"])

    def revision(self, colour: str) -> str:
        """Return the revision that a colour's instances are tagged with.

        Raises:
            FleetError: they have no such tag.

        """
        tags = {tag["Key"]: tag["Value"] for tag in self._group(colour)["Tags"]}
        if "Revision" not in tags:
            raise FleetError(f"the Auto Scaling group of {colour} has no tag Revision")
        return str(tags["Revision"])

    def addresses(self, colour: str) -> list[str]:
        """Return host:port of the API on each running instance of a colour."""
        found = self._ec2.describe_instances(
            Filters=[
                {"Name": "instance-state-name", "Values": ["pending", "running", "stopping"]},
                {"Name": "tag:aws:autoscaling:groupName", "Values": [self._group_name(colour)]},
            ]
        )
        return sorted(
            f"{instance['PrivateIpAddress']}:{self._config.api_port}"
            for reservation in found["Reservations"]
            for instance in reservation["Instances"]
        )

    def stop(self, colour: str, deadline_seconds: float = 600) -> None:
        """End all instances of a colour, and wait for it.

        Raises:
            FleetError: some are still there at the deadline.

        """
        self._scale(colour, 0, 0)
        self._wait_for(colour, 0, deadline_seconds)

    def start(
        self, colour: str, digest: str, revision: str, count: int, deadline_seconds: float = 600
    ) -> None:
        """Start instances of a colour with an image; it must have none.

        Raises:
            FleetError: fewer are there at the deadline.

        """
        image = f"{self._config.repository}@{digest}"
        parameter = f"/{self._config.name}/{colour}/image"
        self._parameters.put_parameter(Name=parameter, Value=image, Overwrite=True)
        tag = {"Key": "Revision", "Value": revision, "PropagateAtLaunch": True}
        of_group = {"ResourceId": self._group_name(colour), "ResourceType": "auto-scaling-group"}
        self._autoscaling.create_or_update_tags(Tags=[tag | of_group])
        self._scale(colour, self._config.minimum, max(count, self._config.minimum))
        self._wait_for(colour, max(count, self._config.minimum), deadline_seconds)

    def _wait_for(self, colour: str, count: int, deadline_seconds: float) -> None:
        deadline = time.monotonic() + deadline_seconds
        while (present := len(self.addresses(colour))) != count:
            if time.monotonic() > deadline:
                raise FleetError(
                    f"{colour} has {present} instances after {deadline_seconds:.0f} s, not {count}"
                )
            time.sleep(self._poll_seconds)

    def _scale(self, colour: str, minimum: int, desired: int) -> None:
        self._autoscaling.update_auto_scaling_group(
            AutoScalingGroupName=self._group_name(colour), MinSize=minimum, DesiredCapacity=desired
        )

    def _group(self, colour: str) -> Any:
        name = self._group_name(colour)
        found = self._autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        if not found["AutoScalingGroups"]:
            raise FleetError(f"there is no Auto Scaling group {name}")
        return found["AutoScalingGroups"][0]

    def _group_name(self, colour: str) -> str:
        return f"{self._config.name}-{colour}"
