"""What stands in for expensive runs, and what says when it may: designs, regressors, support."""
