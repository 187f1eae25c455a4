"""Both halves in ONNX Runtime."""
