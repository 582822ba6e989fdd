"""Reading Singer: lines, messages, BATCH files, stream maps."""
