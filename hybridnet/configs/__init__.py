"""Named configs: a model size and a training recipe each."""
