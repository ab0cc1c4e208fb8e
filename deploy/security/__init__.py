"""`make security`: what scans the code and the dependencies; nothing unchecked counts as passed."""
