"""The spiking half as C11."""
