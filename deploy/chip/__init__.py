"""Chips: their profiles, the mapper, what fits and what would."""

DEFAULT_CHIP = "loihi2"
"""The chip of estimates for which nobody named another."""
