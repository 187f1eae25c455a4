"""Training: views by split, augmentation, the loop, and a run from nothing to a checkpoint and its record."""
