"""Floor 9: real studies, one a file: its data, its problem, its questions."""
