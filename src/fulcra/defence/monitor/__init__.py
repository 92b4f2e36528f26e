"""A monitor that notices a dose by the stream alone: calibrated on clean text, then watching."""
