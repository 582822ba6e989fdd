"""The Databox API v1 on this machine; imports nothing from the rest of the package."""
