"""What every field of consent's models says of a person (DSL 21), a table for each part of it."""
