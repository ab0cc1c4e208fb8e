-- What wrk sends, by the first argument, and the figures it ends with, as one line of JSON.
-- get                      the address as it is
-- pages COUNT              ?page= a random one of so many
-- details FILE             /id of a course, of a file with one id a line
-- enroll FILE RUN          POST, each time another student, in a random course of the file

local mode, count, run, courses, number = "get", 1, "", {}, 0
local threads = 0

function setup(thread)
   thread:set("thread_number", threads)
   threads = threads + 1
end

function init(arguments)
   mode = arguments[1] or "get"
   -- Without the function wrk makes its request once, and has more of the processor for answers.
   if mode == "get" then request = nil end
   math.randomseed(thread_number + 1)
   if mode == "pages" then count = tonumber(arguments[2]) end
   if mode == "enroll" or mode == "details" then
      for line in io.lines(arguments[2]) do courses[#courses + 1] = line end
      run = arguments[3] or ""
      wrk.headers["Content-Type"] = "application/json"
   end
end

function request()
   if mode == "pages" then
      return wrk.format("GET", wrk.path .. "&page=" .. math.random(count))
   elseif mode == "details" then
      return wrk.format("GET", wrk.path .. "/" .. courses[math.random(#courses)])
   elseif mode == "enroll" then
      number = number + 1
      local body = '{"student_email":"s' .. thread_number .. '.' .. number .. '.' .. run ..
         '@example.org","course_id":"' .. courses[math.random(#courses)] .. '"}'
      return wrk.format("POST", nil, nil, body)
   end
   return wrk.format()
end

function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      '\n{"requests": %d, "seconds": %f, "p50": %f, "p95": %f, "p99": %f, "longest": %f, "errors": %d}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
      latency:percentile(95) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
      e.connect + e.read + e.write + e.status + e.timeout))
end
