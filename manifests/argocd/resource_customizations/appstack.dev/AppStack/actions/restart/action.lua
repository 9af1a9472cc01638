-- As `appstack restart`: every service that is on, in the order of their dependencies, but for Jobs and what a person has rolled back. Only annotations
-- change, which are no part of what Git says.
local os = require("os")
local now = os.date("!%Y-%m-%dT%XZ")
local on = {}
for _, profile in ipairs(obj.spec.profiles or {}) do
  on[profile] = true
end
local states = {}
if obj.status ~= nil then
  states = obj.status.services or {}
end
local annotations = obj.metadata.annotations or {}
for name, service in pairs(obj.spec.services) do
  local runs = service.profiles == nil or #service.profiles == 0
  for _, profile in ipairs(service.profiles or {}) do
    runs = runs or on[profile] == true
  end
  local put_back = annotations["appstack.dev/rollback." .. name] ~= nil and states[name] ~= nil and states[name].state == "RolledBack"
  if runs and service.mode ~= "Job" and not put_back then
    annotations["appstack.dev/restart." .. name] = now
  end
end
obj.metadata.annotations = annotations
return obj
