"""WORKER_QUEUES: its syntax, and the workers that `make run` starts for it."""

import re
from functools import partial

import pytest

from deploy.embedded.data_dir import DataDir
from deploy.embedded.plan import service_plan
from infra.settings import Settings, SettingsError, load_settings


def _workers(folder, queues: str | None = None) -> dict[str, list[str]]:
    """Return the workers' names and arguments."""
    values = {} if queues is None else {"worker_queues": queues}
    parts = service_plan(Settings(_env_file=None, **values), DataDir(folder)).services
    return {p.name: list(p.command[4:]) for p in parts if p.command[3] == "worker"}


@pytest.fixture
def workers(tmp_path):
    return partial(_workers, tmp_path)


def test_images_have_their_own_worker(workers):
    assert workers() == {
        "worker-images": ["--queues=images", "--concurrency=1"],
        "worker": ["--exclude-queues=images", "--concurrency=1"],
    }


def test_one_worker_may_serve_all_queues_with_the_default_concurrency(workers):
    assert workers("*") == {"worker": []}
    assert workers(" *:4 ") == {"worker": ["--concurrency=4"]}


def test_queues_may_share_a_worker(workers):
    assert workers("images:1 default,cache,maintenance:2") == {
        "worker-images": ["--queues=images", "--concurrency=1"],
        "worker-default-cache-maintenance": [
            "--queues=default,cache,maintenance",
            "--concurrency=2",
        ],
    }


@pytest.mark.parametrize(
    ("setting", "first", "second"), [(9180, "9180", "9181"), (0, "0", "0"), (None, "", "")]
)
def test_each_worker_has_a_port_of_its_own_for_metrics(tmp_path, setting, first, second):
    settings = Settings(_env_file=None, worker_metrics_port=setting)
    plan = service_plan(settings, DataDir(tmp_path))
    ports = [
        each.environment["WORKER_METRICS_PORT"]
        for each in plan.services
        if each.name.startswith("worker")
    ]
    # A free one has five digits and is the same at the next start.
    assert [ports[0].startswith(first), ports[1].startswith(second)] == [True, True]
    assert len(set(ports)) == 2 or setting == 0
    shown = {} if setting == 0 else zip(["worker-images", "worker"], ports, strict=True)
    assert plan.worker_metrics == {
        name: f"http://127.0.0.1:{port}/metrics" for name, port in dict(shown).items()
    }
    again = service_plan(settings, DataDir(tmp_path))
    assert again.worker_metrics == plan.worker_metrics


@pytest.mark.parametrize(
    ("queues", "fault"),
    [
        ("images:", "must be queues, a colon and a number of processes, as in 'images:2 *:1'"),
        ("images;cache", "must be queues"),
        ("images:1,cache:1", "must be queues"),
        ("images,*", "must be queues"),
        ("   ", "must be queues"),
        ("images:1 cache,images", "must name each queue once, and has images twice"),
        ("* *:1", "must name each queue once, and has * twice"),
        ("images:0", "must have 1 to 64 processes in each group"),
        ("images:65", "must have 1 to 64 processes in each group"),
    ],
)
def test_an_error_is_one_sentence_with_the_value(monkeypatch, queues, fault):
    monkeypatch.setenv("WORKER_QUEUES", queues)
    with pytest.raises(SettingsError, match=f"^WORKER_QUEUES: {re.escape(fault)}.* \\(it is '"):
        load_settings()
