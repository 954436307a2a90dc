-- For serve.py: callers take turns, a bound on requests, and what came of it as one line of JSON.
-- Arguments: a file with a token on each line, and the most requests to make.
local requests, most, made = {}, 0, 0

function init(args)
  most = tonumber(args[2])
  for token in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", nil, { Authorization = "Bearer " .. token })
  end
end

function request()
  made = made + 1
  if made >= most then
    wrk.thread:stop()
  end
  return requests[made % #requests + 1]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %f, "p99_ms": %f, "failed": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
