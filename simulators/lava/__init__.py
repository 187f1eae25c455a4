"""Lava, in a process of its own, as a simulator of the spiking half."""
