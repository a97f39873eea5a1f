"""Medians, quartiles, and tables of them as text or Markdown."""

import statistics


def spread(values):
    """{"median", "low", "high"}: the quartiles, so that half of the values lie between them."""
    values = sorted(values)
    if len(values) < 4:
        low, high = values[0], values[-1]
    else:
        low, _, high = statistics.quantiles(values, n=4)
    return {"median": statistics.median(values), "low": low, "high": high}


def ratio_text(value):
    """"1.32 (1.30-1.36)"."""
    return f"{value['median']:.2f} ({value['low']:.2f}-{value['high']:.2f})" if value else "-"


def number(value):
    """Three digits that count: 0.83, 8.3, 83, 8,300."""
    if value is None:
        return "-"
    if value and abs(value) < 1:
        return f"{value:.2g}" if abs(value) < 0.1 else f"{value:.2f}"
    return f"{value:.1f}" if abs(value) < 20 else f"{value:,.0f}"


class Table:
    """Texts in rows; `notes` are lines below it."""

    def __init__(self, title, columns, notes=()):
        self.title, self.columns, self.notes = title, columns, list(notes)
        self.rows = []

    def add(self, *cells):
        self.rows.append([str(cell) for cell in cells])

    def text(self):
        widths = [max(len(row[i]) for row in [self.columns, *self.rows])
                  for i in range(len(self.columns))]

        def line(cells):
            first = cells[0].ljust(widths[0])
            return "  ".join([first, *(cell.rjust(width)
                                       for cell, width in zip(cells[1:], widths[1:]))]).rstrip()
        return "\n".join([self.title, "", line(self.columns), *map(line, self.rows),
                          *(["", *self.notes] if self.notes else [])])

    def markdown(self):
        def line(cells):
            return "| " + " | ".join(cells) + " |"
        return "\n".join([f"**{self.title}**", "", line(self.columns),
                          line(["---"] + ["---:"] * (len(self.columns) - 1)),
                          *map(line, self.rows), *(["", *self.notes] if self.notes else [])])
