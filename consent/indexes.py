"""Indexes of large live tables, for migrations that are not atomic."""

from django.db import migrations, models


def built_beside_writes(model: str, index: models.Index, definition: str) -> migrations.SeparateDatabaseAndState:
    """`definition`: what follows CREATE INDEX CONCURRENTLY and the name. What a build that failed left is dropped first,
    so that the migration may be run again."""
    drop = f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}"
    create = f"CREATE INDEX CONCURRENTLY {index.name} {definition}"
    return migrations.SeparateDatabaseAndState(
        database_operations=[migrations.RunSQL([drop, create], drop)],
        state_operations=[migrations.AddIndex(model, index)],
    )
