"""Floor 1: models, sites, time, and the loop of rounds."""
