"""Floor 9: public conformance suites, one an extension point."""
