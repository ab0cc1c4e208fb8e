"""Releases an image from CI: python -m deploy.aws.deploy ENVIRONMENT DIGEST; `make deploy` runs it.

The role of CI may send one command to one host, and read how it ended: nothing else.
"""

import sys
import time
from typing import Any

import boto3

from deploy.aws.rollout import DIGEST

ENDED = frozenset({"Success", "Cancelled", "Failed", "TimedOut", "Cancelling"})
EXIT_FAILED, EXIT_REFUSED = 1, 2
DEADLINE_SECONDS = 4 * 3600


def main(environment: str, digest: str, *, poll_seconds: float = 10) -> int:
    """Send the command and wait; 0 when the image is released, 1 when not, 2 when refused."""
    if not DIGEST.fullmatch(digest):
        sys.stderr.write(f"deploy: {digest!r} is no digest: sha256: and 64 hexadecimal digits\n")
        return EXIT_REFUSED
    client: Any = boto3.client
    ssm = client("ssm")
    sent = ssm.send_command(
        DocumentName=f"enrollment-{environment}-release",
        Targets=[
            {"Key": "tag:Role", "Values": ["operations"]},
            {"Key": "tag:Environment", "Values": [environment]},
        ],
        Parameters={"Digest": [digest]},
        CloudWatchOutputConfig={
            "CloudWatchOutputEnabled": True,
            "CloudWatchLogGroupName": f"/enrollment-{environment}/release",
        },
    )
    return _wait(ssm, sent["Command"]["CommandId"], poll_seconds)


def _wait(ssm: Any, command: str, poll_seconds: float) -> int:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        (listed,) = ssm.list_commands(CommandId=command)["Commands"]
        if listed["Status"] in ENDED:
            return _report(listed)
        time.sleep(poll_seconds)
    sys.stderr.write("deploy: the release has not ended; see its log group\n")
    return EXIT_FAILED


def _report(listed: dict[str, Any]) -> int:
    # Without a host SSM calls a command a success, too.
    if listed["TargetCount"] != 1:
        sys.stderr.write(f"deploy: {listed['TargetCount']} operations hosts, not one\n")
        return EXIT_FAILED
    sys.stdout.write(f"release: {listed['Status']}\n")
    return 0 if listed["Status"] == "Success" else EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
