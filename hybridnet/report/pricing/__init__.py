"""Prices: profiles, energy of counts, what else it could cost, advice, audit."""

DEFAULT_PROFILE = "horowitz45"
"""The profile of prices for which nobody named another."""
