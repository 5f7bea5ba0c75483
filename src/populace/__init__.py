"""populace: agent-based models that answer for what they say."""
