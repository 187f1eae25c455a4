"""The neutral middle: a spiking program's layers, bridge tensors and fixed point. It imports errors alone."""
