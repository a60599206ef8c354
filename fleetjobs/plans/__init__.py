"""Plans: jobs made of jobs, as people write them down and as legs that wait for one another."""
