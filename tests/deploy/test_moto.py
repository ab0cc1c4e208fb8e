"""deploy/terraform is applied against moto, and destroyed again."""

import os

import pytest

from tests.moto import moto_server
from tests.terraform import faults, initialised, terraform


@pytest.mark.skipif("TERRAFORM_APPLY" not in os.environ, reason="minutes: make test-terraform")
@pytest.mark.timeout(600)
def test_the_apis_take_all_of_it_and_let_it_be_destroyed(tmp_path):
    with moto_server() as aws:
        folder = initialised(tmp_path, "-test-directory=moto")
        done = terraform(folder, "test", "-json", "-test-directory=moto", environment=aws)
    assert faults(done) == []
    assert done.returncode == 0
