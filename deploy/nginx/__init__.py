"""The nginx in front of the API: its configuration, rendered from templates, and its certificate.

Needs Python alone, so that it runs on a host that has nothing else of the service.
"""
