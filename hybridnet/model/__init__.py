"""The reference model: spiking temporal modulators, transformer, mixer."""
