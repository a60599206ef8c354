"""Store: the results database, a file per noun. It takes and gives words, never rows."""
