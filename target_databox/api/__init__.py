"""The only package that speaks HTTP: what all API versions share, and a subpackage for each version."""
