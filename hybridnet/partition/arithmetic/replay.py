def replayed(reading, model, examples):
    return reading
