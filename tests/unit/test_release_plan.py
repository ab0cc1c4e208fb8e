"""Plans of releases: what is refused, and in which words."""

import pytest
import yaml

from deploy.release.plan import PlanRefused, load

PLAN = {
    "stable": {"revision": "1.0.0", "instances": ["10.0.0.1:8080"]},
    "canary": {"revision": "1.1.0", "instances": ["api-2:8080", "[::1]:8080"]},
    "folder": "/var/lib/enroll/release",
    "nginx": {"include": "/etc/enroll/nginx/upstream.conf"},
}


def written(tmp_path, content):
    """Write a plan."""
    path = tmp_path / "plan.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_a_short_plan_has_the_references_steps(tmp_path):
    found = load(written(tmp_path, PLAN))
    assert (found.weights, found.times.step) == ((5, 25, 50, 100), 600)
    green = load(written(tmp_path, PLAN | {"strategy": "blue-green"}))
    assert green.weights == (100,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"canary": PLAN["stable"]}, "the plan: stable and canary are the same revision"),
        ({"canary": PLAN["stable"] | {"revision": "2"}}, "10.0.0.1:8080 is in both revisions"),
        ({"canary": PLAN["canary"] | {"instances": ["a:1; evil"]}}, "'a:1; evil' is not host:port"),
        ({"canary": PLAN["canary"] | {"instances": []}}, "canary.instances: "),
        ({"canary": PLAN["canary"] | {"revision": "1 1"}}, "canary.revision: "),
        ({"steps": [5, 50]}, "steps must grow, and end with 100"),
        ({"steps": [50, 5, 100]}, "steps must grow, and end with 100"),
        ({"steps": [0, 100]}, "steps.0: "),
        ({"steps": [100]}, "nothing beside it in its only step"),
        ({"nginx": None}, "needs either `nginx` or `alb`"),
        ({"nginx": PLAN["nginx"] | {"control": "0.0.0.0:8099"}}, "nginx.control: "),
        ({"nginx": None, "alb": {"stable_group": "a", "canary_group": "b", "region": "c"}},
         "alb: needs either `listener` or `rule`"),
        ({"times": {"step": 600, "step_deadline": 600}}, "step_deadline must be longer than step"),
        ({"times": {"hold": 10}}, "hold must be longer than stale"),
        ({"prometheus": {"timeout_seconds": 60}}, "than a look may take, which is 66 s"),
        ({"limits": {"slower_chance": 0.4}}, "limits.slower_chance: "),
        ({"prometheus": {"job": 'a"}'}}, "prometheus.job: "),
        ({"weights": [5]}, "weights: Extra inputs are not permitted"),
    ],
)  # fmt: skip
def test_what_can_not_be_used_is_named(tmp_path, changes, message):
    path = written(tmp_path, PLAN | changes)
    with pytest.raises(PlanRefused) as refused:
        load(path)
    assert message in refused.value.message
    assert refused.value.message.startswith(f"{path}: ")


@pytest.mark.parametrize("text", ["[", "- 1", ""])
def test_a_file_that_is_no_plan_is_refused(tmp_path, text):
    with pytest.raises(PlanRefused):
        load(written(tmp_path, text))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(PlanRefused, match="can't be read: No such file"):
        load(tmp_path / "plan.yaml")
