"""The run record: what a run leaves, as data and as a file."""
