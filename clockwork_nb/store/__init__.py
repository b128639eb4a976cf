"""Clockwork NB."""
