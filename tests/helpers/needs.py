"""Tests that need Lava."""

import pytest

from hybridnet.simulators.lava.compat import lava_is_installed

needs_lava = pytest.mark.skipif(not lava_is_installed(), reason="Lava is not installed")
