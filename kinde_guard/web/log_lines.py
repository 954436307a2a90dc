"""The logger ``kinde_guard``, and how long its lines may be."""

from __future__ import annotations

import logging

from .wording import shortened

MOST_OF_A_LINE = 1_000
log = logging.getLogger("kinde_guard")


class _Short(logging.Filter):
    """Keeps each line to 1,000 bytes: what is collected by the line is cut, or lost, where lines are longer."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        short = shortened(message, MOST_OF_A_LINE)
        if short is not message:
            record.msg, record.args = short, ()
        return True


log.addFilter(_Short())
