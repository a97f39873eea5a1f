"""What a person sees: colours and a progress line on a terminal, plain text elsewhere."""

import os
import sys
import time

COLOURS = {"green": "32", "yellow": "33", "red": "31", "bold": "1", "dim": "2", "cyan": "36"}


class Screen:
    def __init__(self, stream=sys.stdout):
        self.stream = stream
        self.terminal = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.colours = self.terminal and "NO_COLOR" not in os.environ
        self.begun = time.monotonic()
        self._progress = False

    def paint(self, text, colour):
        if not self.colours or not colour:
            return text
        return f"\033[{COLOURS[colour]}m{text}\033[0m"

    def line(self, text="", colour=None):
        self.clear()
        print(self.paint(text, colour), file=self.stream, flush=True)

    def heading(self, text):
        self.line()
        self.line(text, "bold")
        self.line("-" * len(text), "dim")

    def progress(self, text):
        """Overwritten by what comes next; nothing in a pipe."""
        if self.terminal:
            self.stream.write("\r\033[K" + self.paint(text, "dim"))
            self.stream.flush()
            self._progress = True

    def clear(self):
        if self._progress:
            self.stream.write("\r\033[K")
            self._progress = False

    def table(self, head, rows):
        """Cells are text or (text, colour)."""
        plain = [[cell if isinstance(cell, str) else cell[0] for cell in row] for row in rows]
        widths = [max(len(row[column]) for row in [head, *plain]) for column in range(len(head))]
        self.line("  ".join(text.ljust(width) for text, width in zip(head, widths)).rstrip(), "dim")
        for row, texts in zip(rows, plain):
            cells = []
            for cell, text, width in zip(row, texts, widths):
                colour = None if isinstance(cell, str) else cell[1]
                cells.append(self.paint(text, colour) + " " * (width - len(text)))
            self.line("  ".join(cells).rstrip())
