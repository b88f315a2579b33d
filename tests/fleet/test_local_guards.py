"""Who may ask the fleet service, for what, and what it never touches."""

import shutil
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from hubfleet import identity, images
from hubfleet.clients import docker, engine, engine_service
from hubfleet.clients.fleet_local import FleetService, ServiceRefusal
from hubfleet.errors import CommandError
from hubfleet.fleet import service_container
from hubfleet.fleet.local import DEPLOYMENT_LABEL, INSTANCE_LABEL, ROLE_LABEL
from hubfleet.fleet.scaling_local import LocalScaling
from hubfleet.fleet.service.api import CALLS
from hubfleet.fleet.service.files import TLS_ROLE, TOKEN, TOKEN_ROLE, certificate_files
from hubfleet.fleet.service.tls import Right
from hubfleet.pki import Authority
from hubfleet.secrets import Secret, SecretStore
from tests.fleet.backend import POOL
from tests.fleet.local import LocalBackend

HUB = "i-aaaaaaaaaaaaaaaaa"
FOREIGN = "i-bbbbbbbbbbbbbbbbb"


@pytest.fixture
def bystanders(local: LocalBackend) -> Iterator[dict[str, str]]:
    """Start machines that are none of the service's business; return id to container id."""
    network = local.deployment.network
    kinds = {HUB: (network, local.deployment.name, "hub")}
    kinds[FOREIGN] = (f"{network}-other", "fleet-other", "swarm_worker")
    image = images.reference("node")
    made = {}
    try:
        for instance_id, (prefix, deployment, role) in kinds.items():
            labels = {DEPLOYMENT_LABEL: deployment, ROLE_LABEL: role, INSTANCE_LABEL: instance_id}
            made[instance_id] = docker.client().containers.run(
                image,
                ["sleep", "infinity"],
                name=f"{prefix}-{instance_id}",
                labels=labels,
                network_mode="none",
                detach=True,
            )
        yield {instance_id: str(container.id) for instance_id, container in made.items()}
    finally:
        for container in made.values():
            engine.remove_container(str(container.id))


def status(local: LocalBackend, path: str, authorization: str | None, method: str = "POST") -> int:
    """Return the HTTP status of a request that nothing but its header opens."""
    headers = {} if authorization is None else {"Authorization": authorization}
    url = f"{local.url}{path}"
    ca = str(local.deployment.ca_crt)
    with requests.Session() as session:
        session.trust_env = False
        answer = session.request(method, url, json={}, headers=headers, verify=ca, timeout=10)
    return answer.status_code


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic Zjpm", "Bearer \xe4"]
)
def test_without_the_token_nothing_answers(local: LocalBackend, authorization: str | None) -> None:
    for path in [*(f"/v1/{name}" for name in CALLS), "/v1/receive", "/v1/none", "/", "/health"]:
        for method in ("POST", "GET", "PUT"):
            assert status(local, path, authorization, method) == 401, (method, path)


def test_an_empty_token_file_opens_nothing(local: LocalBackend) -> None:
    store = SecretStore(local.deployment.secrets_dir)
    file, token = store.path(TOKEN_ROLE, TOKEN), local.token
    try:
        file.write_text("\n")
        assert status(local, "/v1/workers", None) == 401
        file.unlink()
        assert status(local, "/v1/workers", None) == 401
        store.write(TOKEN_ROLE, TOKEN, Secret("another"))
        assert status(local, "/v1/workers", f"Bearer {token}") == 401
        assert status(local, "/v1/workers", "Bearer another") == 200
    finally:
        store.write(TOKEN_ROLE, TOKEN, Secret(token))


def test_the_controllers_token_opens_no_fault(local: LocalBackend) -> None:
    (worker,) = local.launched()
    controller = local.service(local.token)
    for name, call in CALLS.items():
        assert name.startswith("fault/") == (call.needs is Right.FAULTS)
    for attempt in (
        lambda: controller.kill(worker.id),
        lambda: controller.spot(worker.id),
        lambda: controller.rebalance(worker.id),
        lambda: controller.put("forged"),
        lambda: controller.fail_boots(1),
        lambda: controller.run_dry(POOL, 10),
    ):
        with pytest.raises(ServiceRefusal) as caught:
            attempt()
        assert caught.value.status == 403
    assert local.running() == {worker.id}
    assert not local.waiting()


def test_a_stranger_with_another_authority_is_not_believed(
    local: LocalBackend, tmp_path: Path
) -> None:
    wrong = tmp_path / "ca.crt"
    Authority.ensure(wrong, tmp_path / "ca.key", "another CA")
    client = LocalScaling(FleetService(local.url, local.token, wrong))
    with pytest.raises(CommandError, match="does not answer"):
        client.workers()


def test_a_new_authority_is_served_without_a_restart(local: LocalBackend, tmp_path: Path) -> None:
    deployment = local.deployment
    old = shutil.copy(deployment.ca_crt, tmp_path / "old.crt")
    host = ("localhost", int(local.url.rpartition(":")[2]))
    before = ssl.get_server_certificate(host)
    deployment.ca_crt.unlink()
    assert TLS_ROLE in identity.ensure(deployment, local.settings)
    after = local.until(lambda: ssl.get_server_certificate(host), lambda seen: seen != before)
    assert after == certificate_files(deployment)[0].read_text()
    FleetService(local.url, local.token, deployment.ca_crt).call("workers")
    with pytest.raises(CommandError, match="does not answer"):
        FleetService(local.url, local.token, Path(old)).call("workers")


def test_only_workers_of_this_deployment_are_touched(
    local: LocalBackend, bystanders: dict[str, str]
) -> None:
    (worker,) = local.launched()
    assert [each.id for each in local.scaling.workers()] == [worker.id]
    for instance_id in bystanders:
        assert local.scaling.standing(instance_id) is None
    with pytest.raises(CommandError, match="no worker but a hub"):
        local.scaling.terminate(HUB)
    local.scaling.terminate(FOREIGN)  # nobody of that id is here
    for fault in (local.operator.kill, local.operator.spot, local.operator.rebalance):
        for instance_id in bystanders:
            with pytest.raises(ServiceRefusal):
                fault(instance_id)
    for odd in ("", "../x", "i-1", f"{HUB}\n", f"x-{worker.id}", worker.id.upper()):
        with pytest.raises(ServiceRefusal) as caught:
            local.scaling.terminate(odd)
        assert caught.value.status == 400
    local.advance(local.heartbeat_s + 2)
    for container in bystanders.values():
        assert docker.client().containers.get(container).status == "running"
    assert local.running() >= {worker.id}
    assert not local.waiting()


def test_never_more_than_the_settings_allow(local: LocalBackend) -> None:
    with pytest.raises(CommandError, match=f"exceed {local.most}"):
        local.scaling.launch(local.most + 1, POOL)
    assert not local.running()
    local.launched(local.most)
    with pytest.raises(CommandError, match=f"exceed {local.most}"):
        local.scaling.launch(1, POOL)
    # What leaves still lives.
    first = local.scaling.workers()[0]
    local.scaling.terminate(first.id)
    with pytest.raises(CommandError, match=f"exceed {local.most}"):
        local.scaling.launch(1, POOL)
    assert len(local.running()) == local.most


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("launch", {"count": 0, "pool": POOL}),
        ("launch", {"count": -1, "pool": POOL}),
        ("launch", {"count": "1", "pool": POOL}),
        ("launch", {"count": 1}),
        ("launch", {"count": 1, "pool": POOL, "role": "hub"}),
        ("receive", {"wait_s": 21}),
        ("hide", {"receipt": "x", "seconds": -1}),
        ("terminate", {"instance_id": ["i-0"]}),
    ],
)
def test_what_no_call_takes_is_refused(
    local: LocalBackend, call: str, body: dict[str, object]
) -> None:
    with pytest.raises(ServiceRefusal) as caught:
        local.service(local.token).call(call, **body)
    assert caught.value.status == 400
    assert not local.running()


def test_the_container_is_as_small_as_can_be(local: LocalBackend) -> None:
    attrs = docker.client().containers.get(local.container).attrs
    host = attrs["HostConfig"]
    assert (host["CapDrop"], host["CapAdd"], host["Privileged"]) == (["ALL"], None, False)
    assert "no-new-privileges" in host["SecurityOpt"] and host["ReadonlyRootfs"]
    published = attrs["NetworkSettings"]["Ports"]
    assert [each["HostIp"] for bindings in published.values() for each in bindings] == ["127.0.0.1"]
    writable = {m["Source"] for m in attrs["Mounts"] if m["RW"]}
    assert writable == {engine_service.socket_path(), str(local.deployment.dir)}
    assert INSTANCE_LABEL not in attrs["Config"]["Labels"]
    shown = str(attrs["Config"]["Env"]) + str(attrs["Args"])
    assert local.token not in shown


def test_ensure_makes_it_anew_only_when_something_has_changed(local: LocalBackend) -> None:
    deployment, settings = local.deployment, local.settings
    try:
        # The one under test has other timings, but what it is made from is the same.
        assert not service_container.ensure(deployment, settings)
        assert service_container.plan(deployment, settings) == []
        workers = settings.fleet.workers.model_copy(update={"max": 7})
        fleet = settings.fleet.model_copy(update={"workers": workers})
        changed = settings.model_copy(update={"fleet": fleet})
        assert service_container.plan(deployment, changed)
        engine_service.kill(local.container)
        assert not service_container.ensure(deployment, settings)
        assert service_container.ensure(deployment, changed)
        assert not service_container.ensure(deployment, changed)
    finally:
        service_container.remove(deployment)
        local.start()


def test_a_machine_that_two_remove_at_once_is_gone_for_both(bystanders: dict[str, str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(engine.remove_container, [bystanders[HUB]] * 4))
    assert docker.client().containers.list(all=True, filters={"id": bystanders[HUB]}) == []


def test_a_machine_that_is_being_removed_can_be_asked_for_its_output(
    bystanders: dict[str, str],
) -> None:
    going = bystanders[HUB]
    with ThreadPoolExecutor(1) as pool:
        removal = pool.submit(engine.remove_container, going)
        while not removal.done():
            try:
                assert engine.logs(going) == ""
            except CommandError as error:
                assert "No such container" in error.message  # noqa: PT017 - it may be gone already
        removal.result()
