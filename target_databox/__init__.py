"""Singer target that loads every stream into a Databox dataset and confirms it."""

__version__ = "0.1.0"
