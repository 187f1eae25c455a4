"""The verbs: export, simulate, calibrate, compare, inspect. Options go in, a result comes out."""
