"""The courses: reading them, rendering them, changing them."""
