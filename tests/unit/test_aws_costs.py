"""The estimate of costs: by the prices of a file, and by nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from hubfleet.aws import costs, prices
from hubfleet.aws.costs import Scenario
from hubfleet.errors import PreconditionError
from hubfleet.settings import Settings, environments, load

REGION = "eu-central-1"


@pytest.fixture
def settings() -> Settings:
    return load("production")


@pytest.fixture
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(prices.newest().read_text())
    return found


def written(folder: Path, document: Any) -> Path:
    file = folder / "2030-01.json"
    file.write_text(json.dumps(document))
    return file


def test_every_environment_on_aws_has_prices() -> None:
    seen = 0
    for name in environments():
        settings = load(name)
        if settings.fleet.backend == "aws":
            known = prices.read(prices.newest(), settings.fleet.aws.region)
            found = costs.estimate(settings, known, Scenario(12, 20.0, 5.0))
            assert found.month_total > 0
            assert not known.remark
            seen += 1
    assert seen > 1


def test_a_month_is_the_sum_of_what_runs_and_what_is_used(
    settings: Settings, document: dict[str, Any], tmp_path: Path
) -> None:
    for section in ("units", "units_everywhere", "amounts", "instance_hour"):
        for each in document[section].values():
            each["value"] = 0
    document["instance_hour"]["m7i.large"]["value"] = 0.1
    document["regions"][REGION]["factor"] = 2
    known = prices.read(written(tmp_path, document), REGION)
    found = costs.estimate(settings, known, Scenario(120, 1000.0, 100.0))
    assert found.month_total == pytest.approx(0.1 * 2 * 730)
    assert found.class_hour_total == 0


def test_a_class_pays_its_workers_the_first_on_demand_the_rest_spot(
    settings: Settings, document: dict[str, Any], tmp_path: Path
) -> None:
    for section in ("units", "units_everywhere", "amounts"):
        for each in document[section].values():
            each["value"] = 0
    for each in document["instance_hour"].values():
        each["value"] = 1.0
    document["regions"][REGION]["factor"] = 1
    document["spot_share"]["value"] = 0.25
    known = prices.read(written(tmp_path, document), REGION)
    count = costs.class_workers(settings, 120)
    found = costs.estimate(settings, known, Scenario(120, 0.0, 0.0))
    assert settings.fleet.aws.spot.on_demand_base == 1
    assert found.class_hour_total == pytest.approx(1 + (count - 1) * 0.25)


def test_more_students_than_the_environment_takes_are_said(settings: Settings) -> None:
    known = prices.read(prices.newest(), REGION)
    most = settings.fleet.workers.max
    found = costs.estimate(settings, known, Scenario(100_000, 1.0, 1.0))
    assert costs.class_workers(settings, 100_000) == most
    seats = most * settings.fleet.workers.seats
    assert any(f"leaves {seats} seats" in remark for remark in found.remarks)


def test_numbers_without_a_check_are_named(settings: Settings, document: dict[str, Any]) -> None:
    known = prices.read(prices.newest(), REGION)
    assert {"spot_share", "nat_hour", "home_gb", f"factor of {REGION}"} <= set(known.unverified)
    assert "m7i.large" not in known.unverified
    remarks = costs.estimate(settings, known, Scenario(12, 1.0, 1.0)).remarks
    assert document["date"] in remarks[0]
    assert "estimate" in remarks[0]
    assert "spot_share" in remarks[1]


def test_another_region_has_the_first_ones_prices_and_says_so() -> None:
    known = prices.read(prices.newest(), "ap-south-1")
    assert "ap-south-1" in known.remark
    assert known.instance_hour == prices.read(prices.newest(), "us-east-1").instance_hour


def test_a_type_without_a_price_is_named_with_the_cure(
    settings: Settings, document: dict[str, Any], tmp_path: Path
) -> None:
    del document["instance_hour"]["m7i.large"]
    known = prices.read(written(tmp_path, document), REGION)
    with pytest.raises(PreconditionError, match=r"no price of m7i\.large") as error:
        costs.estimate(settings, known, Scenario(12, 1.0, 1.0))
    assert "--prices" in error.value.hint


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("spot_share", {"value": "half", "source": "assumed"}),
        ("spot_share", {"value": -1, "source": "assumed"}),
        ("spot_share", {"value": 0.5, "source": "nobody"}),
        ("units", {}),
        ("regions", []),
    ],
)
def test_a_file_that_is_none_is_refused(
    document: dict[str, Any], tmp_path: Path, section: str, value: Any
) -> None:
    document[section] = value
    with pytest.raises(PreconditionError, match=r"2030-01\.json is no file of prices"):
        known = prices.read(written(tmp_path, document), REGION)
        costs.estimate(load("production"), known, Scenario(12, 1.0, 1.0))


def test_a_file_that_is_not_there_and_one_that_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="cannot be read"):
        prices.read(tmp_path / "none.json", REGION)
    other = tmp_path / "x.json"
    other.write_text("prices?")
    with pytest.raises(PreconditionError, match="no file of prices"):
        prices.read(other, REGION)


def test_the_newest_file_is_taken(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="there is no file"):
        prices.newest(tmp_path)
    (tmp_path / prices.FOLDER).mkdir(parents=True)
    for name in ("2026-11", "2027-02", "2026-12"):
        (tmp_path / prices.FOLDER / f"{name}.json").touch()
    assert prices.newest(tmp_path).stem == "2027-02"
