"""Modules that two models share."""
