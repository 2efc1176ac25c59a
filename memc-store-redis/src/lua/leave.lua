-- Give the turn, or the place in the queue, back. Answers 'held' if the turn was this ticket's until now: then nobody has
-- appended since it began. Otherwise 'done'.
-- KEYS: turn, queue
-- ARGV: ticket, milliseconds to begin a turn, name of the keys that wake up
local turn, queue = unpack(KEYS)
local ticket, grace, wake = unpack(ARGV)
redis.set_repl(redis.REPL_NONE)
if redis.call('ZREM', queue, ticket) == 1 then
    -- Whoever still waits for it is released.
    redis.pcall('LPUSH', wake .. ticket, '1')
    redis.pcall('PEXPIRE', wake .. ticket, 1000)
end
if redis.call('HGET', turn, 'ticket') == ticket then
    local first = redis.call('ZPOPMIN', queue)[1]
    if first then
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        redis.call('HSET', turn, 'ticket', first, 'until', string.format('%.0f', now + grace))
        redis.pcall('LPUSH', wake .. first, '1')
        redis.pcall('PEXPIRE', wake .. first, 5000)
    else
        redis.call('DEL', turn)
    end
    return 'held'
end
return 'done'
