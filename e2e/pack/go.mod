module appstack.dev/e2e/pack

go 1.26.0
