"""``python -m keisei.report RUN``: one HTML page of a run, from the files of its folder alone."""
