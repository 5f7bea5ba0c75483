"""Floor 5: policies at decision sites, one file an algorithm, and the audit of what was learned."""
