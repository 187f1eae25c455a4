"""Chips: limits with their sources."""
