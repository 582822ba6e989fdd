"""The pages that show what has been loaded: plain HTML, made on the server, for this machine's browser."""
