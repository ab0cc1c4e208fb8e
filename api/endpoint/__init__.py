"""Endpoint declarations: request binding, bodies, responses, the OpenAPI document."""
