"""fleetjobs: run and schedule actions on whole fleets of machines."""
