"""Notebooks as durable jobs: the papermill engine, and running and resuming with it."""
