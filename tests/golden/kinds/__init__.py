"""Kinds of golden cases, one a module."""
