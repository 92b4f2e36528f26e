"""What a rollout did: coherence, a behavior's oracle and a typed outcome; judges of whole runs."""
