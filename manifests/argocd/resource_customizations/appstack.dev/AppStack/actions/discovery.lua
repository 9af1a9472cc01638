-- Offered where `appstack restart`, `suspend` and `resume` would not refuse.
local going = obj.metadata.deletionTimestamp ~= nil
local suspended = obj.spec.suspend == true
-- What cannot be run as it is written, nobody restarts.
local broken = false
if obj.status ~= nil then
  for _, condition in ipairs(obj.status.conditions or {}) do
    broken = broken or condition.type == "Stalled" and condition.status == "True" and condition.reason ~= "ServicesFailed"
  end
end
local actions = {}
actions["restart"] = {["disabled"] = going or suspended or broken or obj.spec.stopped == true}
actions["suspend"] = {["disabled"] = going or suspended}
actions["resume"] = {["disabled"] = going or not suspended}
return actions
