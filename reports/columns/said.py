"""What the columns say, in SQL of the event `e` and its type `t`."""

from typing import Final

# What a float cannot hold would be an error.
_FLOAT = """
    CASE WHEN jsonb_typeof(e.properties -> '{name}') = 'number' THEN
        CASE WHEN abs((e.properties ->> '{name}')::numeric) BETWEEN 1e-300 AND 1e300 THEN (e.properties ->> '{name}')::float8
             WHEN abs((e.properties ->> '{name}')::numeric) < 1 THEN 0
             ELSE sign((e.properties ->> '{name}')::numeric)::float8 * 1e300 END
    ELSE 'NaN' END
"""
NUMBERS: Final = {
    "subject": "e.subject_id",
    "at": "e.corrected_at",
    "type": "e.type_id",
    "page": "coalesce(e.page_id, 0)",
    "session": "coalesce(hashtextextended(e.session_id, 0), 0)",
    "dwell": "coalesce(e.dwell_ms, -1)::bigint",
    "scroll": _FLOAT.format(name="scroll_depth"),
    "load": _FLOAT.format(name="load_ms"),
}
TEXTS: Final = {
    "element": "CASE WHEN t.name = 'tap' THEN e.properties ->> 'element' END",
    "scene": "e.scene",
    "os": "e.context ->> 'os'",
    "app_version": "e.context ->> 'app_version'",
}
