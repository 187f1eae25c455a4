"""Folders that tests read: the repository's root, its helpers, and the shared data beside it."""

from pathlib import Path

HELPERS = Path(__file__).parent
ROOT = HELPERS.parents[1]
SHARED = ROOT.parent / "shared"
