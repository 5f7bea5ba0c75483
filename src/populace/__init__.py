"""populace: agent-based models that answer for what they say.

Write a model as rules with named sites, simulate it fast, fit it to data, ask what the data decide, and what would
have happened otherwise. Start at `docs/index.md`. The public names stand in `__init__.pyi`, a line each; a name is
imported when it is first used.
"""

from populace._lazy import lazy as _lazy

__getattr__, __dir__, __all__ = _lazy(__name__, __file__)
