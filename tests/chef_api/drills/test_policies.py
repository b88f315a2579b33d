"""A policy's life against real servers: seen, published, promoted, taken back, remembered.

Two embedded servers of its own: the groups `staging` and `production` of another one may be in use.
Locks are made and published by chef-cli.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pytest

from hubfleet import history, policy, policy_diff, policy_group, promotion, publication
from hubfleet.clients import chefcli
from hubfleet.clients.chef_process import running, start_embedded
from hubfleet.clients.chef_wire import ChefServerError
from hubfleet.clients.process import Completed
from hubfleet.clients.registry import Registry
from hubfleet.console import Console
from hubfleet.errors import CommandError, PreconditionError
from hubfleet.fleet.base import Fleet, Instances, Role
from hubfleet.history import BAG, Outcome, What, new_event
from hubfleet.policy_group import PolicyGroup, canonical
from hubfleet.rollback import Rollback
from hubfleet.settings import ROOT, environments
from hubfleet.state import Deployment, write_private
from tests.chef_api.target import Target, new_keys
from tests.unit.checkout import Checkout

ROLE = "roles/swarm_worker.json"
LIMIT = "default_attributes.docker.log_max_files"
RECIPE = "cookbooks/swarm/recipes/worker.rb"
LOCK = "policyfiles/swarm_worker.lock.json"

LOCKS: dict[int, str] = {}
"""Locks that chef-cli has made in this run: the same files give the same lock."""


@dataclass(frozen=True)
class Site:
    """A deployment without machines: a checkout, a Chef server, a group."""

    deployment: Deployment
    target: Target

    @cached_property
    def group(self) -> PolicyGroup:
        return policy_group.of(self.deployment, policy.connect(self.deployment))

    @property
    def told(self) -> list[tuple[str, str]]:
        """What and outcome of all events, oldest first."""
        events = list(self.group.history.newest())[::-1]
        return [(event.what.value, event.outcome.value) for event in events]

    def chef(self, *words: str) -> str:
        """Run chef as a user types it in the checkout."""
        done = subprocess.run(
            [self.deployment.root / "bin" / "chef", *words],
            cwd=self.deployment.root,
            env={**os.environ, "HUBFLEET_DEPLOYMENT": self.deployment.name},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def verified(self, outcome: Outcome = Outcome.OK) -> None:
        """Record what `verify` records."""
        after = self.group.published()
        event = new_event(self.group.name, What.VERIFY, after=after, outcome=outcome)
        self.group.history.save(event)


class NoMachines(Fleet):
    """A fleet whose machines have all been ended."""

    def list(self) -> Instances:
        return []

    def launch(self, role: Role, count: int = 1) -> Instances:
        raise NotImplementedError

    def start(self, instance_id: str) -> None:
        raise NotImplementedError

    def terminate(self, instance_id: str) -> None:
        raise NotImplementedError

    def console_output(self, instance_id: str) -> str:
        raise NotImplementedError

    def run(self, instance_id: str, argv: object, timeout: float) -> Completed:
        raise NotImplementedError


@dataclass(frozen=True)
class Shelf(Registry):
    """A registry that lacks some tags."""

    lacks: tuple[str, ...] = ()

    def has(self, repository: str, tag: str) -> bool:
        return f"{repository}:{tag}" not in self.lacks


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Target]]:
    """Two servers with keys of their own."""
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "other")]
    public = [new_keys(folder) for folder in folders]
    with (
        running(start_embedded(folders[0] / "server", public[0])) as one,
        running(start_embedded(folders[1] / "server", public[1])) as other,
    ):
        pairs = zip((one, other), folders, public, strict=True)
        yield [Target(server.url, keys["operator"], folder) for server, folder, keys in pairs]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout with the shims, one policy of small cookbooks, and its lock."""
    made = Checkout(tmp_path_factory.mktemp("checkout"))
    made.add_cookbooks()
    for name in ("chef_server", "hub"):
        (made.root / "policyfiles" / f"{name}.rb").unlink()
    for name in ("bin", "requirements"):
        shutil.copytree(ROOT / name, made.root / name)
    for name in ("Gemfile", "Gemfile.lock"):
        shutil.copy(ROOT / name, made.root / name)
    chefcli.update(made.root, "policyfiles/swarm_worker.rb")
    return made


@pytest.fixture
def checkout(fresh: Checkout, tmp_path: Path) -> Checkout:
    """A copy of it that a test may change."""
    made = Checkout.__new__(Checkout)
    made.root = tmp_path / "copy"
    shutil.copytree(fresh.root, made.root)
    return made


@pytest.fixture
def sites(servers: list[Target], checkout: Checkout) -> Iterator[tuple[Site, Site]]:
    """Staging on one server, production on the other; both are empty, and are left so."""
    names = ("staging", "production")
    both = [_site(name, t, checkout) for name, t in zip(names, servers, strict=True)]
    yield both[0], both[1]
    for site in both:
        chef = site.target.operator
        for group in chef.policy_groups():
            chef.wire.delete(f"/policy_groups/{group}")
        for name in chef.policies():
            chef.wire.delete(f"/policies/{name}")
        for name, ids in chef.cookbook_artifacts().items():
            for id_ in ids:
                chef.wire.delete(f"/cookbook_artifacts/{name}/{id_}")
        chef.wire.delete(f"/data/{BAG}")


def _site(name: str, target: Target, checkout: Checkout) -> Site:
    class Here(Deployment):
        @property
        def chef_server_url(self) -> str:
            return target.url

    made = Here(name, name, checkout.root)
    key = (target.keys / "operator.pem").read_text()
    write_private(made.operator_key, key)
    write_private(made.ca_crt, "not asked over plain HTTP\n")
    lines = [f"chef_server_url '{target.url}'", "node_name 'operator'"]
    lines += [f"client_key '{made.operator_key}'", "authentication_protocol_version '1.3'"]
    write_private(made.chef_config, "\n".join(lines) + "\n")
    return Site(made, target)


def change(checkout: Checkout, value: int) -> None:
    """Edit an attribute and a recipe of the workers, and make their lock anew."""
    checkout.set(ROLE, LIMIT, value)
    checkout.set_text(RECIPE, f"# version {value}\n")
    if value in LOCKS:
        checkout.set_text(LOCK, LOCKS[value])
    else:
        chefcli.update(checkout.root, "policyfiles/swarm_worker.rb")
        LOCKS[value] = (checkout.root / LOCK).read_text()


def test_a_change_is_seen_before_it_is_published_and_remembered_after(
    sites: tuple[Site, Site], checkout: Checkout
) -> None:
    site, root = sites[0], checkout.root
    [worker] = policy_diff.compare(site.group, root)
    assert worker.old == ""
    assert "+ recipe[swarm::worker]" in worker.run_list
    publication.push(site.deployment)
    assert not any(each.changed for each in policy_diff.compare(site.group, root))
    publication.push(site.deployment)
    assert site.told == [("push", "ok")], "what is there already is no event"

    change(checkout, 7)
    [worker] = policy_diff.compare(site.group, root)
    assert worker.attributes == [policy_diff.Value("docker.log_max_files", 2, 7)]
    assert worker.run_list == [] and worker.images == []
    [file] = worker.cookbooks["swarm"]
    assert (file.path, file.state) == ("recipes/worker.rb", "changed")
    assert "+# version 7" in file.diff.splitlines()


def test_what_chef_itself_is_typed_for_goes_on(
    sites: tuple[Site, Site], checkout: Checkout
) -> None:
    site = sites[0]
    site.chef("push", "staging", "policyfiles/swarm_worker.rb")
    first = site.group.published()["swarm_worker"]
    assert first[:10] in site.chef("show-policy", "swarm_worker")
    change(checkout, 7)
    assert "log_max_files" in site.chef("diff", "policyfiles/swarm_worker.rb", "staging")
    site.chef("push", "staging", "policyfiles/swarm_worker.rb")
    site.chef("clean-policy-revisions")
    with pytest.raises(PreconditionError, match=f"no longer holds revision {first[:10]}"):
        site.group.lock("swarm_worker", first)


def test_a_promotion_takes_what_was_verified_byte_for_byte(
    sites: tuple[Site, Site], checkout: Checkout
) -> None:
    staging, production = sites
    publication.push(staging.deployment)
    groups = environments(checkout.root)
    for outcome in (None, Outcome.FAILED):
        if outcome:
            staging.verified(outcome)
        with pytest.raises(PreconditionError, match="no passed verify"):
            promotion.plan(staging.group, production.group, groups)
    staging.verified()
    # The checkout may have gone on: it is not asked.
    checkout.set_text(RECIPE, "# of tomorrow\n")
    plan = promotion.plan(staging.group, production.group, groups)
    asked: list[str] = []
    event = promotion.promote(staging.group, production.group, plan, asked.append)
    assert event and "verified by" in event.note
    assert asked == ["hubfleet/notebook:tag-of-notebook"]
    assert production.group.published() == staging.group.published()
    for name, revision in staging.group.published().items():
        mine, theirs = (each.group.lock(name, revision) for each in sites)
        assert canonical(mine) == canonical(theirs)
        assert theirs["revision_id"] == revision
        for cookbook, lock in theirs["cookbook_locks"].items():
            _same_cookbook(sites, cookbook, lock["identifier"])
    assert production.told == [("promote", "ok")]
    again = promotion.plan(staging.group, production.group, groups)
    assert promotion.promote(staging.group, production.group, again, asked.append) is None


def _same_cookbook(sites: tuple[Site, Site], name: str, identifier: str) -> None:
    """The cookbook is whole in the second server, and that of the first."""
    one, other = (s.group.chef.cookbook_artifact(name, identifier) or {} for s in sites)
    assert one["all_files"]
    assert promotion.without_urls(one) == promotion.without_urls(other)
    for file in other["all_files"]:
        content = sites[1].group.chef.wire.download(file["url"])
        assert hashlib.md5(content, usedforsecurity=False).hexdigest() == file["checksum"]


def test_a_revision_that_was_verified_before_another_came_is_no_proof(
    sites: tuple[Site, Site], checkout: Checkout
) -> None:
    staging, production = sites
    publication.push(staging.deployment)
    staging.verified()
    change(checkout, 7)
    publication.push(staging.deployment)
    groups = environments(checkout.root)
    with pytest.raises(PreconditionError, match="no passed verify"):
        promotion.plan(staging.group, production.group, groups)
    plan = promotion.plan(staging.group, production.group, groups, unverified=True)

    def lacking(reference: str) -> None:
        raise CommandError(f"image {reference} is not built")

    with pytest.raises(CommandError):
        promotion.promote(staging.group, production.group, plan, lacking)
    assert production.group.published() == {}
    assert production.told == []
    event = promotion.promote(staging.group, production.group, plan, lambda _: None)
    assert event and event.note == "from staging, unverified"


def rollback(site: Site, lacks: tuple[str, ...] = ()) -> Rollback:
    shelf = Shelf("localhost:1", site.deployment.ca_crt, "user", "", lacks)
    return Rollback(site.deployment, NoMachines(), shelf, Console())


def test_a_rollback_goes_back_one_publication_after_the_other(
    sites: tuple[Site, Site], checkout: Checkout
) -> None:
    site = sites[0]
    revisions = []
    for value in (None, 7, 8):
        if value:
            change(checkout, value)
        publication.push(site.deployment)
        revisions.append(site.group.published()["swarm_worker"])
    lacking = rollback(site, ("hubfleet/notebook:tag-of-notebook",))
    with pytest.raises(PreconditionError, match="registry no longer holds hubfleet/notebook"):
        lacking.job()
    assert site.group.published()["swarm_worker"] == revisions[2]
    for expected in (revisions[1], revisions[0]):
        run = rollback(site)
        assert run.run(run.job()).error is None
        assert site.group.published()["swarm_worker"] == expected
    with pytest.raises(PreconditionError, match="knows no revision before"):
        rollback(site).job()
    run = rollback(site)
    run.run(run.job(to=revisions[2][:8]))
    assert site.group.published()["swarm_worker"] == revisions[2]
    assert site.told == [("push", "ok")] * 3 + [("rollback", "ok")] * 3


def test_what_chef_push_published_is_told_and_taken_back(
    sites: tuple[Site, Site], checkout: Checkout
) -> None:
    site = sites[0]
    publication.push(site.deployment)
    known = site.group.published()
    change(checkout, 8)
    site.chef("push", "staging", "policyfiles/swarm_worker.rb")
    run = rollback(site)
    assert run.job().target == known
    run.run(run.job())
    assert site.group.published() == known
    told = history.tell(list(site.group.history.newest())[::-1])
    assert [line["what"] for line in told] == ["push", "outside", "rollback"]


def test_a_publication_that_fails_is_remembered_as_such(
    sites: tuple[Site, Site], checkout: Checkout
) -> None:
    site = sites[0]
    write_private(site.deployment.chef_config, "chef_server_url 'http://127.0.0.1:9'\n")
    with pytest.raises(CommandError):
        publication.push(site.deployment)
    [event] = site.group.history.newest()
    assert event.outcome is Outcome.FAILED
    assert event.after == {} and event.intended == {
        "swarm_worker": policy.revision("swarm_worker", checkout.root)
    }


def test_the_history_is_bounded_and_bears_what_is_not_its_own(
    sites: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = sites[0]
    monkeypatch.setattr(history, "KEEP", 3)
    story, chef = site.group.history, site.group.chef
    for number in range(5):
        story.save(new_event("staging", What.PUSH, note=str(number)))
    chef.save_data_bag_item(BAG, {"id": "staging-eu-20260101T000000000000Z-abcd"})
    chef.save_data_bag_item(BAG, {"id": "staging-20990101T000000000000Z-abcd", "what": "else"})
    chef.save_data_bag_item(BAG, {"id": "notes", "text": "by hand"})
    assert [event.note for event in story.newest()] == ["4", "3", "2"]


def test_a_node_neither_reads_nor_writes_the_history(sites: tuple[Site, Site]) -> None:
    site = sites[0]
    event = new_event("staging", What.PUSH)
    site.group.history.save(event)
    node = site.target.new_client("hubfleet-test-node")
    try:
        theirs = PolicyGroup(node, "staging").history
        attempts: list[Callable[[], object]] = [
            lambda: list(theirs.newest()),
            lambda: theirs.save(replace(event, note="forged")),
        ]
        for attempt in attempts:
            with pytest.raises(ChefServerError) as raised:
                attempt()
            assert raised.value.status == 403
    finally:
        site.target.operator.delete_client("hubfleet-test-node")
