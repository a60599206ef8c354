"""Whole: all tables, for those that need every one of them."""

from fleetjobs.store.schema import (
    accounts,
    fleet,
    gates,
    jobs,
    nodes,
    notices,
    records,
    runs,
    schedules,
    templates,
)

PARTS = (accounts, fleet, gates, jobs, nodes, notices, records, runs, schedules, templates)
metadata = jobs.jobs.metadata  #: complete, as a table is entered when its module is imported
