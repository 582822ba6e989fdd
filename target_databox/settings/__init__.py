"""What a run can be told: every setting, read and checked before anything else happens."""
