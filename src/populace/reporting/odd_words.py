"""What a model's author has written about it: docstrings, as paragraphs of one line each."""

import inspect
import sys
from typing import Any

NOT_STATED = "Not stated by the model."
"""What stands wherever neither the code nor its author says anything."""


def own_words(thing: Any) -> list[str]:
    """The paragraphs of the docstring written for a class or function itself: none that is inherited or generated."""
    text = (thing.__dict__.get("__doc__") if inspect.isclass(thing) else thing.__doc__) or ""
    generated = inspect.isclass(thing) and text.startswith(f"{thing.__name__}(")
    return [] if generated else paragraphs(text)


def words_of_module(thing: Any) -> list[str]:
    """The paragraphs on top of the file that a class is written in; none of a script or a notebook."""
    name = thing.__module__
    return [] if name == "__main__" else paragraphs(getattr(sys.modules.get(name), "__doc__", "") or "")


def paragraphs(text: str) -> list[str]:
    """A docstring cut at its empty lines."""
    found = (" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n"))
    return [part for part in found if part]


def first_sentence(words: list[str]) -> str:
    """The first paragraph up to its first full stop; empty where there is none."""
    return f"{words[0].partition('. ')[0].rstrip('.')}." if words else ""


def name_of(rule: Any) -> str:
    """What a rule is called: a function's own name, or the class of an object that is called."""
    found = getattr(rule, "__name__", None) or getattr(getattr(rule, "func", None), "__name__", None)
    return type(rule).__name__ if found is None else found.rpartition(".")[2]


def words_of_rule(rule: Any) -> list[str]:
    """What is written about a rule: on the function, or on the class of an object that is called."""
    written_for_itself = inspect.isroutine(rule) or inspect.isclass(rule)
    return own_words(rule) if written_for_itself else own_words(type(rule))
