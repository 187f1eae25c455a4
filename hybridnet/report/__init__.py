"""Counting, pricing and rendering; report data apart from how it is drawn."""
