"""The page at `/docs`: Swagger UI over this server's own OpenAPI document."""
