"""The only rooms that know HTTP: what all versions of the API share, and a folder for each version."""
