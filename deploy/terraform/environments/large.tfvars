# Registration day.
environment = "production"
size        = "large"
