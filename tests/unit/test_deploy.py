"""Which deployment a command means, and what removing one leaves."""

import io
from pathlib import Path

import pytest

from hubfleet import destroy
from hubfleet.clients import engine
from hubfleet.console import Console
from hubfleet.deploy import choose
from hubfleet.errors import PreconditionError, SettingsError, UsageError
from hubfleet.state import Deployment, Ports
from tests.unit.checkout import Checkout


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("HUBFLEET_DEPLOYMENT", raising=False)
    return Checkout(tmp_path).root


def test_without_options_it_is_local_with_the_environment_s_ports(root: Path) -> None:
    found = choose(None, None, None, root)
    assert (found.name, found.environment, found.ports) == ("local", "local", Ports())
    assert not found.dir.exists()


def test_a_name_and_a_port_make_a_second_one(root: Path) -> None:
    found = choose("second", None, 9000, root)
    assert (found.name, found.environment) == ("second", "local")
    assert found.ports == Ports(9000, 9001, 9002)


def test_a_recorded_one_is_found_with_its_own_ports(root: Path) -> None:
    Deployment.create("second", "local", Ports.block(9000), root)
    assert choose("second", None, None, root).ports.https == 9000
    assert choose("second", "local", 9000, root).ports.https == 9000
    with pytest.raises(UsageError, match="was made with port 9000"):
        choose("second", None, 9100, root)


def test_an_unknown_environment_names_the_nearest(root: Path) -> None:
    with pytest.raises(SettingsError, match="did you mean 'local'"):
        choose(None, "locl", None, root)


def test_an_environment_on_aws_is_not_deployed_from_here(root: Path) -> None:
    with pytest.raises(PreconditionError, match="lives on AWS"):
        choose(None, "staging", None, root)


@pytest.fixture
def deployed(root: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """State of a deployment whose engine has nothing of it any more."""
    monkeypatch.setattr(engine, "list_containers", lambda _label: [])
    monkeypatch.setattr(engine, "remove_volumes", lambda _label: [])
    monkeypatch.setattr(engine, "remove_networks", lambda _label: [])
    deployment = Deployment.create("local", "local", Ports(), root)
    (deployment.homes_dir / "ann").mkdir(parents=True)
    (deployment.dir / "keys").mkdir()
    deployment.operator_key.write_text("key")
    return deployment


def quiet() -> Console:
    return Console(stdout=io.StringIO(), stderr=io.StringIO())


def test_homes_and_nothing_else_survive(deployed: Deployment) -> None:
    destroy.destroy(deployed, quiet())
    assert [path.name for path in deployed.dir.iterdir()] == ["homes"]
    assert (deployed.homes_dir / "ann").is_dir()


def test_homes_go_when_told_and_the_directory_with_them(deployed: Deployment) -> None:
    destroy.destroy(deployed, quiet(), homes=True)
    assert not deployed.dir.exists()


def test_homes_of_nobody_go_too(deployed: Deployment) -> None:
    (deployed.homes_dir / "ann").rmdir()
    destroy.destroy(deployed, quiet())
    assert not deployed.dir.exists()


def test_a_broken_record_does_not_keep_a_deployment_alive(deployed: Deployment) -> None:
    deployed.file.write_text("{")
    destroy.destroy(destroy.target("local", deployed.root), quiet(), homes=True)
    assert not deployed.dir.exists()


def test_nothing_to_destroy_is_an_error_that_lists_what_there_is(deployed: Deployment) -> None:
    with pytest.raises(PreconditionError) as error:
        destroy.target("other", deployed.root)
    assert error.value.hint == "there are: local"
