"""Losses: functions of logits and labels, their modules by config, and their sum."""
