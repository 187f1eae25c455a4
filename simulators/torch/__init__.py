"""The float step of the program, and the ANN half, in PyTorch."""
