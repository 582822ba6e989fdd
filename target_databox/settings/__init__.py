"""Every setting of a run, read and checked before anything else happens."""
