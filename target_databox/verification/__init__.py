"""`--verify`: reads datasets back and compares them with the input, row by row; sends nothing."""
