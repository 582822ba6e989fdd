"""The commands `databox-emulator serve`, `run` and `demo`."""
