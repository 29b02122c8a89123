-- wrk script of perf/intake: posts one prepared body, or one with a fresh event_id.
--
-- usage: wrk ... -s perf/intake.lua URL -- KEY BODY_FILE fixed|ids
-- In `ids` the marker @ID@ of the body becomes a new UUID for each request.
-- Prints one line `RESULT {...}` for perf/intake to read.

local thread_count = 0
function setup(thread)
    thread:set("thread_number", thread_count)
    thread_count = thread_count + 1
end

local body, fixed, before, after
local counter = 0

function init(args)
    local file = assert(io.open(args[2], "rb"))
    body = file:read("*a")
    file:close()
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    wrk.headers["X-API-Key"] = args[1]
    if args[3] == "fixed" then
        fixed = wrk.format(nil, nil, nil, body)
    else
        math.randomseed(os.time() * 1000 + thread_number)
        local first = body:find("@ID@", 1, true)
        before, after = body:sub(1, first - 1), body:sub(first + 4)
        prefix = string.format("%08x-%04x-4%03x-8%03x-", math.random(0, 0x7fffffff),
            math.random(0, 0xffff), math.random(0, 0xfff), math.random(0, 0xfff))
    end
end

function request()
    if fixed then
        return fixed
    end
    counter = counter + 1
    return wrk.format(nil, nil, nil, before .. prefix .. string.format("%012x", counter) .. after)
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
