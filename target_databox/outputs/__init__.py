"""What a run writes: STATE values and the rejects file."""
