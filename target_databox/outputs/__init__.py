"""What a run writes: STATE values, the rejects file, and standard error."""
