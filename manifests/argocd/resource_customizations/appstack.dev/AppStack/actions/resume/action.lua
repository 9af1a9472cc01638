-- As `appstack resume`: nothing is what a stack that is looked after says.
obj.spec.suspend = nil
return obj
