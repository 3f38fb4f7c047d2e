"""Rollups: closed days counted once, linear in their subjects, so that they can forget (docs/adr/0019-rollups.md).

days.py stores them, and packed.py the days' events beside them; build.py makes them, turns.py says which and when, read.py
answers from them, forgetting.py takes subjects out of them.
"""

# Metrics read rollups, and rollups use what metrics are made of: whichever is asked for first, metrics load first.
import reports.metrics  # noqa: F401
