"""Those that we are compared with, each as its own users would write it."""
