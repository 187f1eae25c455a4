"""The neuron that stock Lava lacks."""
