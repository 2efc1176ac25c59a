-- Give the turn, or the place in the queue, back. Answers 'held' if the turn was this ticket's until now and the ledger still
-- ends where it is said to: then nobody has appended since it began. Otherwise 'done'. The turn alone tells nothing: it is
-- not logged, and may have come back with a snapshot from before others had theirs.
-- KEYS: turn, queue, head
-- ARGV: ticket, milliseconds to begin a turn, name of the keys that wake up, the expected revision and id
local turn, queue, head = unpack(KEYS)
local ticket, grace, wake, expected, expected_id = unpack(ARGV)
local ends = redis.call('HMGET', head, 'revision', 'id')
local held = (ends[1] or '0') == expected and (not ends[1] or ends[2] == expected_id) and 'held' or 'done'
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
    return held
end
return 'done'
