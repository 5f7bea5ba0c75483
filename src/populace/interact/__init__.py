"""Floor 2: who meets whom, and how they trade."""
