"""Facts about target-databox, each of them a test."""
