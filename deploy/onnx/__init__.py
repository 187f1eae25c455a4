"""ONNX: the ANN half, its int8 form, the spiking program, the whole network."""
