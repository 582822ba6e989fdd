"""Singer records into Databox rows: schemas to columns, values to their types, one encoding. Pure."""
