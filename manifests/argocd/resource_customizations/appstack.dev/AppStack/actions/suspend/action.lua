-- As `appstack suspend`.
obj.spec.suspend = true
return obj
