"""The command line: `fleetjobs`, or `fj` for short."""
