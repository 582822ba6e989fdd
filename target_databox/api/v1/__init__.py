"""The Databox API v1: its routes, its JSON and its limits."""
