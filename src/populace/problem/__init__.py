"""Floor 2: what is to be explained: space, target, observation models, simulators and the problem."""
