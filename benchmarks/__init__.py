"""Speed, measured after the result was checked: `python -m benchmarks`."""
