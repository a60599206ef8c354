"""Seeds: the templates that every installation has from the beginning, a file each."""
