"""The command line at scale: start-up, a report and a plan of a large study, and how the time grows with its size."""
