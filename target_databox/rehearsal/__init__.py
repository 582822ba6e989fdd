"""`--check` and `--dry-run`: what a run would find and do, without doing it."""
