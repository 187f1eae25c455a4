"""What scales leave free, and what to do where they cannot."""

HEADROOM = 1.5
"""Potentials and messages may grow by this factor beyond the largest ones that calibration saw."""

SMALL_THRESHOLD = "Its weights or potentials are too large for it; look at them, and at the inputs"
"""What to do where a threshold is less than one unit of its integers."""
