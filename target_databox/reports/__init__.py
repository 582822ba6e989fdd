"""What a run tells of itself, while it goes on and at its end."""
