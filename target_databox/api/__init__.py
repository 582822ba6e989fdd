"""Databox API v1: the only rooms that know HTTP."""
