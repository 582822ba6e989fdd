"""The emulated API over HTTP: routes, limits, faults, the log of exchanges, and the page."""
