"""A release on the operations host, and the command that starts it, against moto's AWS."""

import json
import sys

import boto3
import pytest
import yaml
from uuid_utils.compat import uuid7

from deploy.aws import deploy, rollout
from deploy.aws.fleet import Config, Fleet, FleetError
from tests.moto import moto_server

DIGEST = f"sha256:{'a' * 64}"
IMAGE = f"123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/x@{DIGEST}"
# In the place of `enroll release run PLAN`: moves all traffic to the canary, half of it, or none.
MOVE = """
import boto3, sys, yaml
plan = yaml.safe_load(open(sys.argv[2]))["alb"]
weights = {plan["canary_group"]: int(sys.argv[1]), plan["stable_group"]: 100 - int(sys.argv[1])}
boto3.client("elbv2").modify_listener(ListenerArn=plan["listener"], DefaultActions=[{
    "Type": "forward", "ForwardConfig": {"TargetGroups": [
        {"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.items()]}}])
sys.exit(0 if sys.argv[1] == "100" else 1)
"""


@pytest.fixture(scope="module")
def aws():
    """The environment of moto's server."""
    with moto_server() as environment:
        yield environment


@pytest.fixture
def config(aws, monkeypatch, tmp_path):
    """Two colours, blue with two instances and all traffic; the path of their configuration."""
    for name, value in aws.items():
        monkeypatch.setenv(name, value)
    name = f"e-{uuid7().hex[-12:]}"
    ec2, balancer = boto3.client("ec2"), boto3.client("elbv2")
    subnets = ec2.describe_subnets()["Subnets"][:2]
    networks = [subnet["SubnetId"] for subnet in subnets]
    groups = {
        colour: balancer.create_target_group(
            Name=f"{name}-{colour}", Protocol="HTTP", Port=80, VpcId=subnets[0]["VpcId"]
        )["TargetGroups"][0]["TargetGroupArn"]
        for colour in ("blue", "green")
    }
    made = balancer.create_load_balancer(Name=name, Subnets=networks)["LoadBalancers"][0]
    forward = {
        "TargetGroups": [
            {"TargetGroupArn": groups["blue"], "Weight": 100},
            {"TargetGroupArn": groups["green"], "Weight": 0},
        ]
    }
    listener = balancer.create_listener(
        LoadBalancerArn=made["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "ForwardConfig": forward}],
    )["Listeners"][0]["ListenerArn"]
    _start_groups(ec2, name, networks)
    path = tmp_path / "fleet.json"
    path.write_text(
        json.dumps(
            {
                "name": name,
                "region": "ap-southeast-2",
                "repository": IMAGE.partition("@")[0],
                "listener": listener,
                "groups": groups,
                "minimum": 2,
                "api_port": 8080,
            }
        )
    )
    return path


def _start_groups(ec2, name, networks):
    autoscaling, ssm = boto3.client("autoscaling"), boto3.client("ssm")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    for colour, count in (("blue", 2), ("green", 0)):
        template = {"ImageId": image, "InstanceType": "t3.small"}
        ec2.create_launch_template(
            LaunchTemplateName=f"{name}-{colour}", LaunchTemplateData=template
        )
        autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=f"{name}-{colour}",
            LaunchTemplate={"LaunchTemplateName": f"{name}-{colour}", "Version": "$Latest"},
            MinSize=count,
            MaxSize=4,
            VPCZoneIdentifier=",".join(networks),
            Tags=[{"Key": "Revision", "Value": "first", "PropagateAtLaunch": True}],
        )
        ssm.put_parameter(Name=f"/{name}/{colour}/image", Value="x@first", Type="String")


def _release(config, percent):
    move = (sys.executable, "-c", MOVE, str(percent))
    return rollout.main(str(config), str(config.parent), DIGEST, release=move)


def _fleet(config):
    return Fleet(Config.read(config), poll_seconds=0.1)


def test_a_good_release_ends_on_the_new_image_and_stops_the_old_instances(config):
    assert _release(config, 100) == 0
    fleet, name = _fleet(config), Config.read(config).name
    assert fleet.serving() == "green"
    assert (len(fleet.addresses("green")), fleet.addresses("blue")) == (2, [])
    assert fleet.revision("green") == "sha256-aaaaaaaaaaaa"
    parameter = boto3.client("ssm").get_parameter(Name=f"/{name}/green/image")
    assert parameter["Parameter"]["Value"] == IMAGE


def test_the_plan_names_both_revisions_and_their_instances(config):
    before = _fleet(config).addresses("blue")
    _release(config, 100)
    plan = yaml.safe_load((config.parent / "plan.yaml").read_text())
    assert plan["stable"] == {"revision": "first", "instances": before}
    assert plan["canary"]["revision"] == "sha256-aaaaaaaaaaaa"
    assert plan["canary"]["instances"] == _fleet(config).addresses("green")


def test_a_release_that_rolled_back_stops_the_new_instances(config):
    before = _fleet(config).addresses("blue")
    assert _release(config, 0) == rollout.EXIT_ROLLED_BACK
    fleet = _fleet(config)
    assert (fleet.serving(), fleet.addresses("blue"), fleet.addresses("green")) == (
        "blue",
        before,
        [],
    )


def test_while_the_traffic_is_shared_nothing_is_stopped_or_released(config, capsys):
    assert _release(config, 50) == rollout.EXIT_REFUSED
    fleet = _fleet(config)
    assert (len(fleet.addresses("blue")), len(fleet.addresses("green"))) == (2, 2)
    assert _release(config, 100) == rollout.EXIT_REFUSED
    assert "an earlier release has not ended" in capsys.readouterr().err
    assert (len(fleet.addresses("blue")), len(fleet.addresses("green"))) == (2, 2)


def test_instances_that_do_not_start_are_named(config):
    class Slow(Fleet):
        def addresses(self, colour):
            return super().addresses(colour)[1:]

    fleet = Slow(Config.read(config), poll_seconds=0.1)
    with pytest.raises(FleetError, match="green has 1 instances after 0 s, not 2"):
        fleet.start("green", DIGEST, "r", 2, deadline_seconds=0.2)


def test_without_an_operations_host_the_release_has_failed(config, capsys):
    assert deploy.main("nowhere", DIGEST, poll_seconds=0.1) == deploy.EXIT_FAILED
    assert "operations hosts, not one" in capsys.readouterr().err


@pytest.mark.parametrize("digest", ["latest", f"{DIGEST}; reboot", "sha256:A"])
def test_what_is_no_digest_is_refused(config, capsys, digest):
    assert rollout.main(str(config), str(config.parent), digest) == rollout.EXIT_REFUSED
    assert deploy.main("production", digest) == deploy.EXIT_REFUSED
    assert capsys.readouterr().err.count("is no digest") == 2


def test_ci_sends_the_command_to_the_operations_host_and_reports_its_end(config, capsys):
    ec2, ssm = boto3.client("ec2"), boto3.client("ssm")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    tags = {"Role": "operations", "Environment": "staging"}
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    ec2.run_instances(
        ImageId=image,
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": listed}],
    )
    assert deploy.main("staging", DIGEST, poll_seconds=0.1) == 0
    assert "release: Success" in capsys.readouterr().out
    (sent,) = [
        command
        for command in ssm.list_commands()["Commands"]
        if command["DocumentName"] == "enrollment-staging-release"
    ]
    assert sent["Parameters"] == {"Digest": [DIGEST]}
