-- Asks the gateway whether a request may pass. It sets txn.bridge_auth to "allowed", or it answers the request itself.
local GATEWAY = "http://127.0.0.1:8080/auth"
-- Milliseconds. Longer than the gateway's own deadline for its database.
local TIMEOUT = 5000

-- These belong to one connection, or to a body that the gateway does not get.
local LEFT_OUT = {
    ["connection"] = true, ["keep-alive"] = true, ["proxy-connection"] = true, ["te"] = true, ["trailer"] = true,
    ["transfer-encoding"] = true, ["upgrade"] = true, ["content-length"] = true, ["expect"] = true, ["host"] = true,
}
local IDENTITY = { "x-user-id", "x-session-id", "x-trace-id", "x-client-id", "x-policy-version", "x-call-source" }
local PASSED_ON = { "www-authenticate", "retry-after", "content-type", "cache-control", "x-rejection-code", "x-trace-id" }

local function first(response, name)
    local values = response and response.headers and response.headers[name]
    return values and values[0]
end

-- Answers the request. A fault is a 503: the token may be good.
local function refuse(txn, response)
    local status = response and response.status
    local is_known = status == 401 or (status == 403 and first(response, "x-rejection-code") ~= "temporarily_unavailable")
    local reply = txn:reply({ status = is_known and status or 503 })
    for _, name in ipairs(PASSED_ON) do
        local value = first(response, name)
        if value then reply:add_header(name, value) end
    end
    if is_known then reply:set_body(response.body or "") end
    txn:done(reply)
end

core.register_action("bridge_auth", { "http-req" }, function(txn)
    local headers = {}
    for name, values in pairs(txn.http:req_get_headers()) do
        if not LEFT_OUT[name] then
            headers[name] = {}
            for place = 0, #values do table.insert(headers[name], values[place]) end
        end
    end
    local asked, response = pcall(function()
        return core.httpclient():get({ url = GATEWAY, headers = headers, timeout = TIMEOUT })
    end)
    if not asked or not response or response.status ~= 204 then
        return refuse(txn, asked and response or nil)
    end
    for _, name in ipairs(IDENTITY) do
        txn:set_var("txn." .. name:gsub("-", "_"), first(response, name) or "")
    end
    txn:set_var("txn.bridge_auth", "allowed")
end)
