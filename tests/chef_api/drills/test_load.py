"""The benchmark's load: it is what a real chef-client sends, and what fails in it is counted."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hubfleet.bench import chef_load, chef_memory
from hubfleet.bench.chef_load import Arrival, address_of, replay
from hubfleet.bench.chef_plan import Converge, Member
from hubfleet.bench.chef_servers import HARMLESS, Site, embedded, node_of
from hubfleet.clients.chef_load import Call

LINE = re.compile(r"(?m)^real (GET|POST|PUT) (\S+) (\d{3}) ")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("load") / "site"
    with embedded(directory) as found:
        found.publish((), directory)
        yield found


@pytest.fixture(scope="module")
def node(site: Site, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Return what a real chef-client saves."""
    return node_of(site, site.client("real", tmp_path_factory.mktemp("client") / "real"))


def member(site: Site, name: str) -> Member:
    return Member(site.signer(name), site.policy(HARMLESS))


def shape(converge: Converge, name: str) -> list[tuple[str, str, int]]:
    """Return method, path and status of each call; the downloads, which race, are sorted."""

    def of(calls: tuple[Call, ...]) -> list[tuple[str, str, int]]:
        return [(call.method, call.path.replace(name, "real"), call.status) for call in calls]

    return of(converge.before) + sorted(of(converge.downloads)) + of(converge.after)


def test_a_replayed_node_asks_what_a_real_chef_client_asks(
    site: Site, node: dict[str, object]
) -> None:
    real = [
        (method, path, int(status))
        for method, path, status in LINE.findall(site.server.log.read_text())
    ]
    converge = member(site, "i-twin").converge(node, datetime.now(UTC))
    count = len(converge.before)
    end = count + len(converge.downloads)
    assert len(converge.downloads) == 4
    assert real[:count] + sorted(real[count:end]) + real[end:] == shape(converge, "i-twin")
    assert len(converge.after[-1].body) > 20_000


def test_a_load_runs_to_its_end_and_its_nodes_are_there(
    site: Site, node: dict[str, object]
) -> None:
    members = [member(site, name) for name in ("i-one", "i-two", "i-three")]
    coming = [Arrival(0.1, each.converge(node, datetime.now(UTC))) for each in members]
    load = chef_load.run(site.server, coming)
    assert load.problems == []
    assert (
        len(load.samples)
        == load.planned
        == sum(len(each.converge(node, datetime.now(UTC))) for each in members)
    )
    assert {"i-one", "i-two", "i-three"} <= set(site.chef.nodes())
    assert site.chef.node("i-two")["automatic"]["os"] == "linux"
    memory = chef_memory.measure(site, members, node, saves=20)
    assert memory.end_mb > 20


def test_a_call_that_is_refused_ends_a_nodes_run_and_counts(
    site: Site, node: dict[str, object]
) -> None:
    unsigned = Member(replace(member(site, "i-mute").signer, key=None), site.policy(HARMLESS))
    samples = replay(address_of(site.server.url), unsigned.converge(node, datetime.now(UTC)))
    assert [sample.problem[:10] for sample in samples] == ["status 400"]


def test_a_download_with_other_content_counts(site: Site, node: dict[str, object]) -> None:
    converge = member(site, "i-sly").converge(node, datetime.now(UTC))
    first, *others = converge.downloads
    altered = replace(converge, downloads=(replace(first, checksum="0" * 32), *others))
    samples = replay(address_of(site.server.url), altered)
    problems = [sample.problem for sample in samples if sample.problem]
    assert problems == ["the content is not that of its checksum"]
    assert len(samples) == len(converge) - len(converge.after)
