"""Hypothesis draws slowly on a machine that other work keeps busy; that says nothing about the code."""

from hypothesis import HealthCheck, settings

settings.register_profile("launch", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("launch")
