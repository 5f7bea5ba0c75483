"""Floor 5: what the data decide and what they cannot, in numbers and in words."""
