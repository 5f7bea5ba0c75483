"""Floor 10: the command line, one file a verb. Verbs import what they need when called, so that help is quick."""

from populace.cli.app import main as main
