"""Schema: the tables. Every row that belongs to somebody says to which org."""
