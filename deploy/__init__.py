"""Writing and reading what leaves for the chip and the runtime: netx files, ONNX, the bundle."""
