"""Running both halves: the emulator, Lava, torch, ONNX Runtime, and the bridge between them."""
