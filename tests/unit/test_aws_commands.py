"""Deploy and destroy on AWS: which deployment is meant, and what is asked before it is lost."""

import io
import socket
from pathlib import Path

import pytest

from hubfleet.aws import commands
from hubfleet.aws.changes import Change, changes, summary
from hubfleet.aws.deploy import Consent, Deploy
from hubfleet.aws.refusals import BrokenOffError
from hubfleet.aws.stack import Stack
from hubfleet.clients.aws import Aws
from hubfleet.console import Console
from hubfleet.errors import PreconditionError, UsageError
from hubfleet.settings import load
from hubfleet.state import Deployment, Ports
from tests.unit.checkout import Checkout

REPLACED = Change("replace", 'aws_instance.this["hub"]')
MADE = Change("make", "aws_sqs_queue.events")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Checkout(tmp_path).root


def test_a_deployment_on_aws_is_named_like_its_environment(root: Path) -> None:
    assert commands.choose(None, "staging", root).name == "staging"
    assert commands.choose("staging", "staging", root).name == "staging"
    with pytest.raises(UsageError, match="named like its environment"):
        commands.choose("mine", "staging", root)
    assert not commands.on_aws("local", root)
    assert commands.on_aws("production", root)


def test_each_has_a_port_of_its_own_for_the_way_to_its_chef_server(root: Path) -> None:
    first = commands.choose(None, "staging", root)
    Deployment.create(first.name, first.environment, first.ports, root)
    assert commands.choose(None, "production", root).ports.chef != first.ports.chef
    # And keeps it.
    assert commands.choose(None, "staging", root).ports == first.ports


def test_an_infra_servers_way_has_the_port_that_it_names(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    file = "environments/staging.json"
    checkout.set(file, "default_attributes.chef_server.mode", "install")
    checkout.set(file, "default_attributes.chef_server.install.package", "chef-server-core")
    port = load("staging", checkout.root).chef_server.install.port
    assert commands.choose(None, "staging", checkout.root).ports.chef == port


def test_without_a_free_port_it_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind((commands.LOOPBACK, 0))
        taken.listen()
        first = taken.getsockname()[1] - 1
        monkeypatch.setattr(commands, "FIRST_PORT", first)
        monkeypatch.setattr(commands, "LAST_PORT", first + 1)
        assert Ports.block(first).chef == taken.getsockname()[1]
        with pytest.raises(PreconditionError, match="no port"):
            commands.choose(None, "staging", root)


class Terraform(Stack):
    """A stack that has something to do, and notes what was done; it breaks off at first."""

    def __init__(self, *found: Change, breaks: int = 0) -> None:
        self.found = list(found)
        self.applied, self.breaks = 0, breaks

    def plan(self, targets: object = (), *, destroy: bool = False) -> list[Change]:
        return self.found

    def apply(self) -> None:
        if self.breaks:
            self.breaks -= 1
            raise BrokenOffError("a connection to AWS broke off")
        self.applied += 1


def change(root: Path, ok: Consent, *found: Change) -> tuple[Terraform, str]:
    """Return the stack after the stage `stack`, and what was said."""
    settings, said = load("staging", root), io.StringIO()
    deployment = commands.choose(None, "staging", root)
    console = Console(stdout=said, stderr=said)
    run = Deploy(deployment, settings, Aws(settings.fleet.aws.region), console, ok)
    stack = Terraform(*found)
    run.__dict__["stack"] = stack
    try:
        next(stage for stage in run.stages() if stage.title == "stack").act()
    except UsageError as error:
        said.write(f"{error.message} {error.hint}")
    return stack, said.getvalue()


def test_what_somebody_may_be_using_is_asked_for(root: Path) -> None:
    stack, said = change(root, Consent(), MADE, REPLACED)
    assert stack.applied == 0
    assert REPLACED.address in said
    assert "add --yes" in said
    stack, _ = change(root, Consent(yes=True), MADE, REPLACED)
    assert stack.applied == 1


def test_what_is_only_made_or_changed_is_not_asked_for(root: Path) -> None:
    stack, said = change(root, Consent(), MADE, Change("change", "aws_ecr_repository.this"))
    assert stack.applied == 1
    assert "make 1 thing\n" in said
    assert "change aws_ecr_repository.this" in said
    stack, _ = change(root, Consent())
    assert stack.applied == 0


def test_a_summary_counts_what_is_new_and_names_the_rest() -> None:
    assert summary([MADE, REPLACED]) == [f"replace {REPLACED.address}", "make 1 thing"]
    assert summary([MADE, MADE]) == ["make 2 things"]
    assert summary([]) == []


def test_what_an_interrupted_run_left_half_made_is_not_asked_for(root: Path) -> None:
    replaced = {"address": REPLACED.address, "change": {"actions": ["delete", "create"]}}
    tainted = {**replaced, "action_reason": "replace_because_tainted"}
    assert changes({"resource_changes": [replaced]}) == [REPLACED]
    (again,) = changes({"resource_changes": [tainted]})
    assert again.action == "make again"
    stack, _ = change(root, Consent(), again)
    assert stack.applied == 1


def test_what_breaks_off_begins_anew_once() -> None:
    stack = Terraform(MADE, breaks=1)
    stack.change()
    assert stack.applied == 1
    stack = Terraform(MADE, breaks=2)
    with pytest.raises(BrokenOffError):
        stack.change()
