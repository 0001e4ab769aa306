"""What is claimed about speed, measured: `make bench` writes RESULTS.md."""
