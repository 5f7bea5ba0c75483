"""Floor 3: published models, one a file."""
