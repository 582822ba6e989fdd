"""Rows in, outcomes out; knows neither Singer nor HTTP."""
