"""Which way of tuning opens windows: organisms of one helpful model, tuned otherwise alike."""
