"""Where two back-ends differ first, and why."""
