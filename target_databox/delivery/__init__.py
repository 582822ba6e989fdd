"""Delivers rows and reports their outcomes; knows neither Singer nor HTTP."""
