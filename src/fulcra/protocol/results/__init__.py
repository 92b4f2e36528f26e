"""What studies find, as values: one file a kind, each as its JSON file holds it."""
