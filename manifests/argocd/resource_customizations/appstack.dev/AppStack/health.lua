-- An AppStack follows kstatus: Ready, Reconciling and Stalled say all, for the generation that was observed. Its services are in it; none of the
-- objects below has to be looked at. A rollout that waits for something is in progress, however long that takes. It is degraded only once the operator has
-- nothing left to wait for.
local health = {status = "Progressing", message = "Waiting for the operator"}
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health
end
local conditions = {}
for _, condition in ipairs(obj.status.conditions or {}) do
  conditions[condition.type] = condition
end
local ready, stalled = conditions["Ready"], conditions["Stalled"]
if ready == nil then
  return health
end
health.message = ready.message
if ready.reason == "Suspended" then
  health.status = "Suspended"
elseif stalled ~= nil and stalled.status == "True" then
  health.status = "Degraded"
elseif ready.status == "True" then
  health.status = "Healthy"
end
return health
