"""Calibration end to end: clips observed, integers searched, a bundle written, losses measured stage by stage."""
