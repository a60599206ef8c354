"""Control: what may be asked of the fleet; everything the server writes goes through it."""
