"""Networks of lava-dl in integers."""
