"""The file of `enroll release` is one that the configuration of deploy/nginx takes."""

import os
import shutil

import pytest

from deploy.nginx.parameters import Parameters
from deploy.nginx.render import render as render_all
from deploy.release.nginx import NginxRouter
from deploy.release.ports import RouterFault
from tests.absent import is_absent
from tests.factories import free_ports
from tests.releasing import plan

NGINX = "nginx"


@pytest.fixture
def program():
    """The path of nginx."""
    found = shutil.which(NGINX, path=f"/usr/sbin:{os.environ['PATH']}")
    if found is None:
        is_absent(NGINX, "nginx-light")
    return found


@pytest.fixture
def folder(tmp_path):
    """The configuration of deploy/nginx, behind a load balancer that terminates TLS."""
    render_all(parameters(tmp_path))
    return tmp_path


def parameters(folder):
    """Return the parameters of a configuration in a folder."""
    http, status = free_ports(2)
    names = {
        "origin": "https://api.example.org", "tls": "false", "user": "root",
        "http_listen": f"127.0.0.1:{http}", "status_listen": f"127.0.0.1:{status}",
        "folder": folder, "state": folder, "logs": folder, "pid": folder / "pid",
    }  # fmt: skip
    return Parameters.of({f"NGINX_{name.upper()}": str(each) for name, each in names.items()})


def router(program, folder):
    """Return the router of this configuration; nothing runs, so a reload does nothing."""
    check = [program, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log"), "-t"]
    (control,) = free_ports(1)
    nginx = {"include": str(folder / "upstream.conf"), "control": f"127.0.0.1:{control}"}
    return NginxRouter(plan(nginx=nginx | {"test": check, "reload": ["true"]}))


@pytest.mark.parametrize("weight", [0, 5, 100])
def test_the_configuration_takes_each_weight_and_keeps_it(program, folder, weight):
    router(program, folder).set_weight(weight)
    text = (folder / "upstream.conf").read_text()
    assert f'return 200 "1.1.0 {weight}\\n"' in text
    render_all(parameters(folder))
    assert (folder / "upstream.conf").read_text() == text


def test_what_nginx_refuses_leaves_the_former_file(program, folder):
    before = (folder / "upstream.conf").read_text()
    (folder / "log.conf").write_text("nonsense;")
    with pytest.raises(RouterFault, match=r'nginx .* failed: .*unknown directive "nonsense"'):
        router(program, folder).set_weight(5)
    assert (folder / "upstream.conf").read_text() == before


def test_an_nginx_that_is_not_there_is_a_fault(program, folder):
    with pytest.raises(RouterFault, match="/weight does not answer"):
        router(program, folder).weight()
