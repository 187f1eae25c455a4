"""Evaluation of a checkpoint or a bundle on many clips: spread over workers, interruptible, summed up."""
