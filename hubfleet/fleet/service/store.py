"""What the service remembers over its own restarts: JSON files, written whole or not at all."""

import json
import logging
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from hubfleet.state import write_private

Model = TypeVar("Model", bound=BaseModel)

log = logging.getLogger(__name__)


class Kept(Generic[Model]):
    """One document in a file, as `value`; `save` writes it."""

    def __init__(self, file: Path, empty: Model) -> None:
        self._file = file
        self.value = self._read(empty)

    def save(self) -> None:
        """Write the document, readable by this user alone."""
        write_private(self._file, self.value.model_dump_json(indent=1) + "\n")

    def _read(self, empty: Model) -> Model:
        """Return what the file holds; a broken one is put aside, for a fleet must go on."""
        try:
            return type(empty).model_validate(json.loads(self._file.read_text()))
        except FileNotFoundError:
            return empty
        except (ValueError, ValidationError) as error:
            aside = self._file.with_suffix(".broken")
            self._file.replace(aside)
            log.error("%s cannot be read and is now %s: %s", self._file, aside.name, error)
            return empty
