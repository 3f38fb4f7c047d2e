"""What backends send with Segment's libraries: their messages, and what becomes of them here."""
