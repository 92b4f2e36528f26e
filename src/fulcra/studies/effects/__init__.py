"""What an edit does besides: sets of prompts, other text, and tasks of a harness."""
