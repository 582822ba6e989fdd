"""The Databox API v2: its routes, its JSON and its limits."""
