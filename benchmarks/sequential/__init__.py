"""Sequential studies by simulation: false claims, coverage, power, runs and bias, through the code that `run` calls."""
