"""Renders any result: figures, tables, pages, terminal text, files."""

from populace.reporting.figures import draw as draw
from populace.reporting.html import page as page
from populace.reporting.markdown import to_markdown as to_markdown
from populace.reporting.text import to_terminal as to_terminal
from populace.reporting.write import gather as gather
from populace.reporting.write import write as write
