// Only names the Gateway API, so that its CustomResourceDefinitions can be had, checked against go.sum: see e2e/src/gateway_api.rs.
module appstack.dev/e2e/gateway-api

go 1.26.0

require sigs.k8s.io/gateway-api v1.4.0
