"""Events as columns: what the reports need that go through each session or attempt, and that no tally of a day can answer.

events.py: the arrays; read.py: what counts of a mini-program's events, in them; visits.py: cut into sessions.
"""

# As in reports.rollups: metrics load first.
import reports.metrics  # noqa: F401
