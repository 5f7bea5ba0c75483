"""Floor 4: one file a method on the loop of rounds, and the checks of what they return."""
