"""The journal: what was acknowledged, kept outside the database, so that a restored backup can be brought up to it.

What ends something (a withdrawal, an objection, a restriction, an erasure, its tombstone, an API client's keys, what a staff
account may do) is written before its transaction commits; what opens something again, after. So the journal may say more of what
ended than came about, and less of what was opened: a replay errs on the closed side. Of the people whose data this is it holds no
identifier, pseudonym or number, only the SHA-256 of a random handle that is stored in the person's row and goes with it; of API
clients and staff accounts it holds their numbers.
"""
