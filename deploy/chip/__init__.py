"""Chips: their profiles, the mapper, what fits and what would."""
