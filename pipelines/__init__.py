"""When the night runs and in what order: the only importer of Prefect. It decides nothing."""
