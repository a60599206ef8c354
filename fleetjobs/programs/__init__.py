"""Programs: where settings are read, parts are put together, and loops run."""
