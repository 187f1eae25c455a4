"""The small trained model that ships, its training record and its bundle."""
