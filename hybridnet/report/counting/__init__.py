"""Counts of operations: of a spiking program's run and of ONNX graphs."""
