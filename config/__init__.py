"""How the service is put together and started. Imported by nobody but the entry points."""
