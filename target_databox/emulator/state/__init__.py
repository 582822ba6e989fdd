"""What the emulated API keeps and decides: accounts, datasets, rows and ingestions in SQLite; no HTTP."""
