-- wrk script of perf/signals/run: posts errors of many fingerprints, single or in batches.
--
-- usage: wrk ... -s perf/signals/storm.lua URL -- KEY FINGERPRINTS BATCH
-- BATCH 0: single events. occurred_at is the present second. Prints one line `RESULT {...}`.

local fingerprints, batch
local cache, cached_at = {}, 0
local counter = 0

function init(args)
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    wrk.headers["X-API-Key"] = args[1]
    fingerprints, batch = tonumber(args[2]), tonumber(args[3])
end

local function event()
    counter = counter + 1
    return string.format(
        '{"event_type":"error","occurred_at":"%s","environment":"prod","severity":"error",' ..
        '"message":"Payment provider number %d timed out after 5000 ms",' ..
        '"attributes":{"error_code":"CODE_%d","route":"/api/checkout","method":"POST",' ..
        '"status_code":502,"release":"2025.01.15-2"},' ..
        '"payload":{"user_id":"user_%d","attempt":2,"upstream":"payments-eu-1"}}',
        cached_at_text, counter % 977, counter % fingerprints, counter)
end

local function body()
    if batch == 0 then
        return event()
    end
    local events = {}
    for i = 1, batch do
        events[i] = event()
    end
    return '{"events":[' .. table.concat(events, ",") .. ']}'
end

-- Batches are built 64 a second and sent again: building them would be all that is measured.
function request()
    local now = os.time()
    if now ~= cached_at then
        cached_at, cached_at_text = now, os.date("!%Y-%m-%dT%H:%M:%SZ", now)
        cache = {}
    end
    if batch == 0 then
        return wrk.format(nil, nil, nil, body())
    end
    local n = (#cache < 64) and #cache + 1 or math.random(64)
    if cache[n] == nil then
        cache[n] = wrk.format(nil, nil, nil, body())
    end
    return cache[n]
end

function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format(
        'RESULT {"requests":%d,"duration_us":%d,"bad_status":%d,"socket_errors":%d,' ..
        '"p50":%d,"p90":%d,"p99":%d,"max":%d}\n',
        summary.requests, summary.duration, e.status,
        e.connect + e.read + e.write + e.timeout,
        latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
