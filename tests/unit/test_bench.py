"""Figures, and what the benchmarks make of their samples."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfleet.bench import report
from hubfleet.bench.report import Figure, percentile
from hubfleet.bench.spawn import UNSERVED_S, Samples, figures
from hubfleet.bench.stock import service
from hubfleet.console import Console
from hubfleet.errors import HubfleetError
from hubfleet.settings import load

KEYS = ["name", "value", "unit", "baseline", "ratio", "target", "ok"]


def samples(**changed: list[float] | list[str]) -> Samples:
    found = {"ours": [2.0, 1.0, 3.0], "stock": [4.0, 4.0, 8.0], "restarts": [1.5], "storm": [9.0]}
    return Samples(**{**found, **changed})  # type: ignore[arg-type]


def test_json_is_one_list_of_objects_with_exactly_these_keys() -> None:
    out = io.StringIO()
    report.show(Console(json_mode=True, stdout=out), figures(samples(), 20))
    found = json.loads(out.getvalue())
    assert [list(each) for each in found] == [KEYS] * len(found)
    assert [each["name"] for each in found] == [
        "spawn.p50_s",
        "spawn.ratio_stock",
        "storm20.p95_s",
        "storm20.failures",
        "restart.p50_s",
    ]


def test_without_json_it_is_a_table() -> None:
    out = io.StringIO()
    report.show(Console(stdout=out), [Figure.at_most("a.b_s", 2.0, "s", 3.0, 4.0)])
    assert out.getvalue().splitlines()[1].split() == [
        "a.b_s",
        "2.0",
        "s",
        "4.0",
        "0.5",
        "<=",
        "3",
        "ok",
    ]


def test_the_ratio_is_ours_over_stock() -> None:
    found = {figure.name: figure for figure in figures(samples(), 20)}
    assert found["spawn.p50_s"].value == 2.0
    assert found["spawn.p50_s"].baseline == 4.0
    assert found["spawn.ratio_stock"].value == found["spawn.p50_s"].ratio == 0.5


def test_a_target_that_is_just_met_is_met() -> None:
    assert Figure.at_most("x", 3.0, "s", 3.0).ok
    assert not Figure.at_most("x", 3.0004, "s", 3.0).ok


def test_a_missed_target_is_named() -> None:
    with pytest.raises(HubfleetError, match=r"storm20.failures is 1, target 0") as caught:
        report.require_all(figures(samples(failures=["ann: no"]), 20))
    assert caught.value.exit_code == 1


def test_who_gets_no_server_counts_as_a_long_wait() -> None:
    found = figures(samples(storm=[1.0, 1.0], failures=["ann: no"]), 3)
    storm = {figure.name: figure for figure in found if figure.name.startswith("storm3.")}
    assert storm["storm3.p95_s"].value == UNSERVED_S
    assert not any(figure.ok for figure in storm.values())


def test_percentile_is_the_nearest_rank() -> None:
    values = [float(value) for value in range(20, 0, -1)]
    assert percentile(values, 0.95) == 19.0
    assert percentile([1.0, 2.0, 3.0], 0.5) == 2.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_a_percentile_was_measured_and_enough_are_not_above_it(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6


def test_the_stock_hub_shares_no_name_with_ours() -> None:
    words = service("an/image:tag", load("local"))
    assert words[words.index("--name") + 1] == "hubfleet-bench"
    assert not [word for word in words if "alias" in word]
    assert "an/image:tag" in words


def test_a_target_may_be_a_lower_bound() -> None:
    good, bad = (report.Figure.at_least("share", value, "", 0.99) for value in (0.99, 0.98))
    assert (good.ok, bad.ok) == (True, False)
    out = io.StringIO()
    report.show(Console(stdout=out), [bad])
    assert ">= 0.99" in out.getvalue()
    with pytest.raises(HubfleetError, match="share is 0.98, target 0.99"):
        report.require_all([good, bad])
