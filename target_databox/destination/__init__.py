"""Finds or creates the data source and the datasets of a run, before the first row."""
