module appstack.dev/e2e/app

go 1.26.0
