"""The load balancer's weights, on moto: they are set, read back, and refused where unknown."""

import time

import boto3
import pytest

from deploy.release.alb import AlbRouter
from deploy.release.plan import Track
from deploy.release.ports import RouterFault
from tests.moto import moto_server
from tests.releasing import plan

REGION = "ap-southeast-2"


@pytest.fixture(scope="module")
def aws():
    """The environment of moto's server."""
    with moto_server() as environment:
        yield environment


@pytest.fixture
def balancer(aws, monkeypatch):
    """A listener, a rule and two groups with one target each; returns their names."""
    for name, value in aws.items():
        monkeypatch.setenv(name, value)
    moto = aws["AWS_ENDPOINT_URL"]
    network = boto3.client("ec2", region_name=REGION, endpoint_url=moto)
    vpc = network.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        network.create_subnet(
            VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{REGION}{zone}"
        )["Subnet"]["SubnetId"]
        for number, zone in enumerate("ab")
    ]
    client = boto3.client("elbv2", region_name=REGION, endpoint_url=moto)
    name = f"lb-{time.time_ns() % 10**9}"
    made = client.create_load_balancer(Name=name, Subnets=subnets)["LoadBalancers"][0]
    groups = [
        client.create_target_group(
            Name=f"{name}-{each}", Protocol="HTTP", Port=8080, VpcId=vpc, TargetType="ip"
        )["TargetGroups"][0]["TargetGroupArn"]
        for each in Track
    ]
    for number, group in enumerate(groups):
        client.register_targets(TargetGroupArn=group, Targets=[{"Id": f"10.0.0.{number + 10}"}])
    forward = [{"Type": "forward", "TargetGroupArn": groups[0]}]
    listener = client.create_listener(
        LoadBalancerArn=made["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=forward
    )["Listeners"][0]["ListenerArn"]
    rule = client.create_rule(
        ListenerArn=listener, Priority=1, Actions=forward,
        Conditions=[{"Field": "path-pattern", "Values": ["/api/*"]}],
    )["Rules"][0]["RuleArn"]  # fmt: skip
    return {
        "stable_group": groups[0], "canary_group": groups[1], "region": REGION,
        "endpoint_url": moto, "listener": listener, "rule": rule,
    }  # fmt: skip


def router(balancer, *, by):
    """Return the router by its listener, or by its rule."""
    other = {"listener": "rule", "rule": "listener"}[by]
    own = {name: value for name, value in balancer.items() if name != other}
    return AlbRouter(plan(nginx=None, alb=own))


@pytest.mark.parametrize("by", ["listener", "rule"])
def test_a_weight_is_set_and_read_back(balancer, by):
    found = router(balancer, by=by)
    assert found.weight() is None
    for weight in (0, 5, 100, 0):
        found.set_weight(weight)
        assert found.weight() == weight
    # The other one keeps its own.
    assert router(balancer, by={"listener": "rule", "rule": "listener"}[by]).weight() is None


def test_targets_that_are_healthy_are_ready(balancer):
    found = router(balancer, by="listener")
    assert [found.ready(track) for track in Track] == [1, 1]


def test_a_group_without_targets_is_not_ready(balancer):
    client = boto3.client("elbv2", region_name=REGION, endpoint_url=balancer["endpoint_url"])
    group = balancer["canary_group"]
    client.deregister_targets(TargetGroupArn=group, Targets=[{"Id": "10.0.0.11"}])
    assert router(balancer, by="listener").ready(Track.CANARY) == 0


def test_what_is_not_there_is_a_fault_of_the_router(balancer):
    gone = balancer | {"listener": balancer["listener"][:-4] + "0000"}
    found = router(gone, by="listener")
    with pytest.raises(RouterFault, match="modify_listener failed"):
        found.set_weight(5)
    with pytest.raises(RouterFault, match="describe_listeners failed"):
        found.weight()
    away = router(balancer | {"endpoint_url": "http://127.0.0.1:1"}, by="rule")
    with pytest.raises(RouterFault, match="describe_rules failed"):
        away.weight()
