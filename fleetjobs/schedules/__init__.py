"""Schedules: rules that make jobs at times, and the windows in which starting is allowed."""
