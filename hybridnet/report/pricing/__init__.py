"""Prices: profiles, energy of counts, what else it could cost, advice, audit."""
