"""What happens before the first row: the data source and the datasets of a run are found or created."""
