"""Images are packed for a registry once, and again only when they are others."""

from pathlib import Path

import pytest

from hubfleet import images
from hubfleet.errors import CommandError
from hubfleet.image_publish import KEPT, packed


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HUBFLEET_CACHE", str(tmp_path))
    return tmp_path


def test_an_image_is_packed_once(cache: Path) -> None:
    first = packed(images.reference("base"))
    manifest = first / "manifest.json"
    written = manifest.stat().st_mtime_ns
    assert packed(images.reference("base")) == first
    assert manifest.stat().st_mtime_ns == written
    assert [path.name for path in (cache / "packed").iterdir()] == [first.name]


def test_the_oldest_are_forgotten(cache: Path) -> None:
    for number in range(KEPT + 2):
        (cache / "packed" / f"{number:016x}").mkdir(parents=True)
    made = packed(images.reference("base"))
    left = list((cache / "packed").iterdir())
    assert len(left) == KEPT
    assert made in left


def test_an_image_that_is_not_built_is_named(cache: Path) -> None:
    with pytest.raises(CommandError, match="hubfleet/none:0 is not built"):
        packed("hubfleet/none:0")
