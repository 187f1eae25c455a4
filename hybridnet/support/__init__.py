"""What knows nothing of networks: files, arrays, plain data, progress, figures, statistics."""
