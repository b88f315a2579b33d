"""Settings: what the real files say, precedence, and checks across fields."""

import json
from pathlib import Path
from typing import Any

import pytest

from hubfleet import settings
from hubfleet.errors import SettingsError
from hubfleet.settings_documents import merge
from hubfleet.settings_schema import render_schema
from tests.unit.checkout import Checkout

WORKER = "roles/swarm_worker.json"
LOCAL = "environments/local.json"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize("environment", settings.environments())
def test_every_environment_loads(environment: str) -> None:
    loaded = settings.load(environment)
    assert loaded.fleet.workers.min <= loaded.fleet.workers.max


def test_homes_of_production_are_found_by_name() -> None:
    storage = settings.load("production").storage
    assert storage.type == "nfs4"
    assert storage.nfs.server.endswith(settings.load("production").fleet.zone)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        setattr(settings.load("local").fleet.workers, "count", 9)  # noqa: B010 - mypy refuses it


def test_the_schema_file_is_generated_from_the_models() -> None:
    schema = settings.ROOT / "schema" / "attributes.schema.json"
    assert schema.read_text() == render_schema(), "run ./invoke policy.update"


def test_every_attribute_says_what_it_is() -> None:
    def undescribed(schema: dict[str, Any], path: str) -> list[str]:
        missing = [] if schema.get("description") else [path]
        for key, item in schema.get("properties", {}).items():
            missing += undescribed(item, f"{path}.{key}")
        return missing

    assert undescribed(json.loads(render_schema()), "") == []


def test_run_lists_expand_the_base_first_and_the_join_last() -> None:
    run_list = settings.run_list("swarm_worker")
    assert run_list[0] == "recipe[node_base::default]"
    assert run_list[-1] == "recipe[swarm::worker]"


def test_a_role_beats_the_roles_that_it_includes(checkout: Checkout) -> None:
    checkout.set(WORKER, "default_attributes.docker.log_max_files", 7)
    docker = settings.role_settings("swarm_worker", "local", checkout.root)["docker"]
    assert (docker["log_max_files"], docker["log_max_size"]) == (7, "5m")


def test_an_environment_beats_roles_of_the_same_level_only(checkout: Checkout) -> None:
    checkout.set(LOCAL, "default_attributes.chef_client", {"interval_s": 61, "splay_s": 62})
    checkout.set(WORKER, "override_attributes.chef_client.splay_s", 63)
    worker = settings.role_settings("swarm_worker", "local", checkout.root)
    assert worker["chef_client"] == {"interval_s": 61, "splay_s": 63}
    checkout.set(LOCAL, "override_attributes.chef_client.splay_s", 64)
    worker = settings.role_settings("swarm_worker", "local", checkout.root)
    assert worker["chef_client"] == {"interval_s": 61, "splay_s": 64}


def test_arrays_are_replaced(checkout: Checkout) -> None:
    checkout.set("roles/hub.json", "default_attributes.hub.admin_users", ["ann", "bob"])
    checkout.set(LOCAL, "default_attributes.hub.admin_users", ["eve"])
    assert settings.load("local", checkout.root).hub.admin_users == ("eve",)
    assert settings.load("staging", checkout.root).hub.admin_users == ("ann", "bob")
    assert merge({"a": {"b": [1], "c": 2}}, {"a": {"b": [3]}}) == {"a": {"b": [3], "c": 2}}


def test_a_role_that_two_others_include_applies_once(checkout: Checkout) -> None:
    checkout.add_role("left", ["role[base]"], chef_client={"splay_s": 1})
    checkout.add_role("both", ["role[left]", "role[base]"])
    assert settings.run_list("both", checkout.root) == ["recipe[node_base::default]"]
    both = settings.role_settings("both", "local", checkout.root)
    assert both["chef_client"]["splay_s"] == 1, "base came again after left"


def test_images_carry_the_tags_of_the_lock(checkout: Checkout) -> None:
    assert settings.load("local", checkout.root).images.hub.tag == "tag-of-hub"
    worker = settings.role_settings("swarm_worker", "local", checkout.root)
    assert set(worker["images"]) == {"notebook"}, "a new hub image is no news for workers"


def test_a_missing_image_lock_says_what_writes_it(checkout: Checkout) -> None:
    (checkout.root / "images" / "lock.json").unlink()
    with pytest.raises(SettingsError, match=r"images/lock\.json: missing") as raised:
        settings.load("local", checkout.root)
    assert "policy.update" in raised.value.hint


def test_where_roles_differ_the_view_is_the_hubs(checkout: Checkout) -> None:
    checkout.set(WORKER, "default_attributes.docker.log_max_files", 7)
    assert settings.load("local", checkout.root).docker.log_max_files == 2
    worker = settings.load("local", checkout.root, view="swarm_worker")
    assert worker.docker.log_max_files == 7


NONSENSE = {
    "no public name": (LOCAL, "tls.source", "acme", "tls.source acme is only for fleet.backend"),
    "plain http": (LOCAL, "tls.acme.directory", "http://ca.test/dir", "should match pattern"),
    "no address": (LOCAL, "tls.acme.email", "operator", "should match pattern"),
    "logs": (LOCAL, "docker.log_driver", "awslogs", "awslogs is only for fleet.backend aws"),
    "workers": (LOCAL, "fleet.workers.min", 5, "min (5) <= max (4)"),
    "memory": (LOCAL, "notebook.memory_guarantee_mb", 2048, "is more than memory_limit_mb (1024)"),
    "cpu": (LOCAL, "notebook.cpu_guarantee", 1.5, "is more than cpu_limit (1.0)"),
    "cidr": (LOCAL, "swarm.networks.control.subnet", "10.90.0.1/24", "has host bits set"),
    "overlap": (LOCAL, "swarm.networks.control.subnet", "10.89.1.0/24", "overlaps"),
    "pool": (LOCAL, "docker.address_pool.size", 12, "wider than the pool"),
    "ports": (LOCAL, "fleet.local.chef_port", 8443, "https_port and chef_port are both 8443"),
    "same node": (LOCAL, "registry.port", 8889, "registry.port and chef_server.port are both 8889"),
    "a port of nginx": (LOCAL, "chef_server.install.port", 443, "install.port and nginx are both"),
    "organization": (LOCAL, "chef_server.organization", "Hub Fleet", "name of an organization"),
    "no package": (LOCAL, "chef_server.mode", "install", "install.package or install.source"),
    "no server": (LOCAL, "chef_server.mode", "external", "needs external.url such as https://"),
    "path": (LOCAL, "storage.homes", "srv/homes", "expected an absolute path"),
    "zone": (LOCAL, "fleet.zone", "Hub_Fleet", "expected a DNS name"),
    "nfs": (LOCAL, "storage.type", "nfs4", "type nfs4 needs nfs.server"),
    "oidc": (LOCAL, "hub.authenticator", "oidc", "needs oauth.callback_url, oauth.authorize_url"),
    "boot": (LOCAL, "autoscaler.ready.boot_timeout_s", 40, "(40) is not more than prior_s (45)"),
    "early": (LOCAL, "autoscaler.classes.first_s", 60, "first_s (60) is less than early_s (360)"),
    "pools": (LOCAL, "autoscaler.pools.order", [], "expected at least one pool"),
    "retry": (LOCAL, "autoscaler.pools.retry_most_s", 5, "(5) is less than retry_s (30)"),
    "zone of classes": (LOCAL, "classes.timezone", "Mars/Phobos", "no time zone 'Mars/Phobos'"),
    "calendar": (LOCAL, "classes.ics", "lab.ics", "expected an https address or an absolute path"),
    "dummy": (LOCAL, "fleet.backend", "aws", "dummy is only for fleet.backend local"),
}


MODES = {
    "a package": ("install", {"package": "cinc-server-core"}, ""),
    "a file": ("install", {"source": "/srv/x.deb", "sha256": "a" * 64}, ""),
    "both": ("install", {"package": "a", "source": "/x.deb"}, "either install.package or"),
    "no URL": ("install", {"source": "http://x/x.deb", "sha256": "a" * 64}, "neither an https"),
    "no sum": ("install", {"source": "https://x/x.deb", "sha256": "a"}, "64 hexadecimal digits"),
    "a server": ("external", {"url": "https://chef.example.org:8443"}, ""),
    "a path": ("external", {"url": "https://chef.example.org/x"}, "external.url such as"),
    "no TLS": ("external", {"url": "http://chef.example.org"}, "external.url such as"),
    "nobody": ("external", {"url": "https://x.org", "operator": ""}, "needs external.operator"),
}


@pytest.mark.parametrize("case", MODES)
def test_each_chef_server_mode_needs_what_is_its_own(checkout: Checkout, case: str) -> None:
    mode, values, words = MODES[case]
    checkout.set(LOCAL, "default_attributes.chef_server.mode", mode)
    for key, value in values.items():
        checkout.set(LOCAL, f"default_attributes.chef_server.{mode}.{key}", value)
    if not words:
        assert settings.load("local", checkout.root).chef_server.mode == mode
        return
    with pytest.raises(SettingsError) as raised:
        settings.load("local", checkout.root)
    assert words in raised.value.message


@pytest.mark.parametrize("case", NONSENSE)
def test_values_that_make_no_sense_together(checkout: Checkout, case: str) -> None:
    file, path, value, words = NONSENSE[case]
    checkout.set(file, f"default_attributes.{path}", value)
    with pytest.raises(SettingsError) as raised:
        settings.load("local", checkout.root)
    assert words in raised.value.message
    assert raised.value.message.startswith("environment local: ")


def test_one_password_for_all_is_refused_outside_local(checkout: Checkout) -> None:
    staging = "environments/staging.json"
    checkout.set(staging, "default_attributes.hub.authenticator", "dummy")
    checkout.set(staging, "default_attributes.fleet.backend", "local")
    checkout.set(staging, "default_attributes.tls.source", "deployment_ca")
    with pytest.raises(SettingsError, match=r"staging\.json: hub\.authenticator: dummy is only"):
        settings.load("staging", checkout.root)


def test_the_hub_reads_its_part_of_a_nodes_attributes(tmp_path: Path) -> None:
    rendered = tmp_path / "settings.json"
    attributes = settings.role_settings("hub", "local")
    rendered.write_text(json.dumps({"environment": "local", "attributes": attributes}))
    environment, view = settings.read_hub_view(rendered)
    assert environment == "local"
    assert view.hub == settings.load("local").hub
    for broken in ("{", "[]", '{"environment": "local"}', '{"environment": "x", "attributes": 1}'):
        rendered.write_text(broken)
        with pytest.raises(SettingsError, match=r"settings\.json"):
            settings.read_hub_view(rendered)


CLASS: dict[str, Any] = {
    "name": "chem",
    "seats": 120,
    "days": ["mon", "wed"],
    "first": "2027-02-01",
    "last": "2027-05-14",
    "start": "10:00",
    "end": "11:30",
    "prestart": "",
}

WRONG_CLASSES: dict[str, tuple[dict[str, Any], str]] = {
    "end before start": ({"end": "09:30"}, "end (09:30) is not after start (10:00)"),
    "last before first": ({"last": "2027-01-31"}, "last (2027-01-31) is before first (2027-02-01)"),
    "no date": ({"first": "1 March"}, "first: '1 March' is no date such as 2027-02-01"),
    "no such date": ({"last": "2027-02-30"}, "last: '2027-02-30' is no date"),
    "no time": ({"start": "25:00"}, "start: '25:00' is no time such as 10:00"),
    "no seats": ({"seats": 0}, "0 is less than 1"),
    "no day": ({"days": ["monday"]}, "'monday' is none of 'mon'"),
    "day twice": ({"days": ["mon", "mon"]}, "a day is there twice"),
    "no name": ({"name": " "}, "name is empty"),
    "unknown key": ({"seat": 3}, "seat: unknown key (did you mean 'seats'?)"),
}


@pytest.mark.parametrize("case", WRONG_CLASSES)
def test_a_wrong_class_is_refused_with_the_reason(checkout: Checkout, case: str) -> None:
    change, words = WRONG_CLASSES[case]
    checkout.set(LOCAL, "default_attributes.classes", {"schedule": [CLASS | change]})
    with pytest.raises(SettingsError) as raised:
        settings.load("local", checkout.root)
    assert words in raised.value.message
    assert "schedule" in raised.value.message


def test_two_classes_cannot_have_one_name(checkout: Checkout) -> None:
    checkout.set(LOCAL, "default_attributes.classes", {"schedule": [CLASS, CLASS]})
    with pytest.raises(SettingsError, match="two classes are named 'chem'"):
        settings.load("local", checkout.root)


def test_a_class_without_one_of_its_keys_is_refused(checkout: Checkout) -> None:
    short = {key: value for key, value in CLASS.items() if key != "prestart"}
    checkout.set(LOCAL, "default_attributes.classes", {"schedule": [short]})
    with pytest.raises(SettingsError, match=r"classes\.schedule\.0\.prestart: Field required"):
        settings.load("local", checkout.root)
