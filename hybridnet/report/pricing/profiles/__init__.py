"""Energy profiles: prices with their sources."""
