"""Better answers from language models by spending test-time compute well."""
