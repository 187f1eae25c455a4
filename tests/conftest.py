"""Tests have no package: this puts their helpers, such as `naive_program`, on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
