"""The emulator: the integers of the chip, bit for bit, quickly."""
