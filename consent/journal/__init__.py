"""The journal: what was acknowledged, kept outside the database, so that a restored backup can be brought up to it.

What ends something (a withdrawal, an objection, a restriction, an erasure, its tombstone) is written before its transaction
commits; what opens something again, after. So the journal may say more of what ended than came about, and less of what was
opened: a replay errs on the closed side. It holds no identifier, pseudonym or number of a person, only the SHA-256 of a random
handle that is stored in the person's row and goes with it.
"""
