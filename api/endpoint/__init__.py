"""The declaration of an endpoint: binding, bodies, responses, its page in OpenAPI."""
