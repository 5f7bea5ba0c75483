"""Floor 6: the dynamics of the whole, without and with equations."""
