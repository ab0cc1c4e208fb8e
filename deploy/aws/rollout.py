"""What the operations host does on a release: python -m deploy.aws.rollout CONFIG FOLDER DIGEST.

Starts the colour without traffic on the new image, lets `enroll release` move the traffic, and
stops the colour that has none then.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from deploy.aws.fleet import Config, Fleet, FleetError

EXIT_ROLLED_BACK, EXIT_REFUSED = 1, 2
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# CI has linted the migrations: the image has no linter.
RELEASE = ("enroll", "release", "run", "--skip", "schema linter")


def main(config: str, folder: str, digest: str, *, release: tuple[str, ...] = RELEASE) -> int:
    """Release an image; 0 when it has all traffic, 1 when the old one has, 2 when refused."""
    if not DIGEST.fullmatch(digest):
        sys.stderr.write(f"rollout: {digest!r} is no digest: sha256: and 64 hexadecimal digits\n")
        return EXIT_REFUSED
    try:
        settings = Config.read(Path(config))
        is_promoted = roll_out(Fleet(settings), settings, Path(folder), digest, release)
    except FleetError as error:
        sys.stderr.write(f"rollout: {error}\n")
        return EXIT_REFUSED
    return 0 if is_promoted else EXIT_ROLLED_BACK


def roll_out(
    fleet: Fleet, config: Config, folder: Path, digest: str, release: tuple[str, ...]
) -> bool:
    """Release an image to the colour without traffic; return whether it has all of it now.

    Raises:
        FleetError: the fleet was not as a release needs it, or the traffic is shared after it.

    """
    stable = fleet.serving()
    canary = fleet.other(stable)
    revision = f"sha256-{digest.removeprefix('sha256:')[:12]}"
    # Instances that an earlier release has left would run another image.
    fleet.stop(canary)
    fleet.start(canary, digest, revision, fleet.desired(stable))
    plan = folder / "plan.yaml"
    plan.write_text(yaml.safe_dump(_plan(fleet, config, folder, stable, revision)), "utf-8")
    subprocess.run((*release, str(plan)), check=False)
    # The weights tell the outcome, not the exit code: what serves is never stopped.
    winner = fleet.serving()
    fleet.stop(fleet.other(winner))
    return winner == canary


def _plan(fleet: Fleet, config: Config, folder: Path, stable: str, revision: str) -> dict[str, Any]:
    """Return the plan that `enroll release` reads."""
    canary = fleet.other(stable)
    return {
        "folder": str(folder),
        "stable": {"revision": fleet.revision(stable), "instances": fleet.addresses(stable)},
        "canary": {"revision": revision, "instances": fleet.addresses(canary)},
        "alb": {
            "region": config.region,
            "listener": config.listener,
            "stable_group": config.groups[stable],
            "canary_group": config.groups[canary],
        },
    }


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
