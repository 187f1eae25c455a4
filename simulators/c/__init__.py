"""The exported C as a back-end."""
