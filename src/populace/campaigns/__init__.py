"""Floor 7: counterfactuals, manifests, and campaigns of runs."""
