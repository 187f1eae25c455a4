"""Finding the fixed-point scales, and measuring what they cost."""
