"""Load tests with Locust: who comes, in which shape, and what has to hold."""
