"""NIR files of the spiking program."""
