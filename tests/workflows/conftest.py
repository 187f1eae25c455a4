"""Models in the manners of people, each exported once."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from helpers.cutting import made
from helpers.manner import Manner

import hybridnet
from hybridnet.deploy.bundle_parts import Bundle


@pytest.fixture(scope="session")
def export(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Each kind is exported once."""

    @functools.cache
    def exported(kind: type[Manner]) -> tuple[Manner, Bundle]:
        model = made(kind)
        folder = tmp_path_factory.mktemp(kind.__name__)
        return model, hybridnet.export(model, model.inputs(3), folder / "bundle")

    return exported
