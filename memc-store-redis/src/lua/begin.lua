-- Take a place in the queue, or the turn if it is this ticket's; with the turn comes what was missed.
-- KEYS: head, commits, turn, queue
-- ARGV: ticket, from which entry of the stream, how many at most, milliseconds of a turn, milliseconds to begin it,
--       name of the keys that wake up
local head, commits, turn, queue = unpack(KEYS)
local ticket, from, limit, lease, grace, wake = unpack(ARGV)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Whose turn it is means nothing after a restart or a fail-over: it is not logged, and costs no flush to disk.
redis.set_repl(redis.REPL_NONE)

local function give(to, milliseconds)
    redis.call('HSET', turn, 'ticket', to, 'until', string.format('%.0f', now + milliseconds))
    redis.call('PEXPIRE', turn, 60000)
end

local function wait()
    redis.call('ZADD', queue, 'NX', string.format('%.0f', time[1] * 1000000 + time[2]), ticket)
    redis.call('PEXPIRE', queue, 60000)
    return { 'wait' }
end

local holder = redis.call('HMGET', turn, 'ticket', 'until')
if holder[1] ~= ticket then
    -- More than a turn's time away: the clock was set back.
    local left = holder[1] and tonumber(holder[2]) - now or 0
    if left > 0 and left <= tonumber(lease) then
        return wait()
    end
    local first = redis.call('ZRANGE', queue, 0, 0)[1]
    if first and first ~= ticket then
        wait()
        redis.call('ZREM', queue, first)
        give(first, grace)
        redis.pcall('LPUSH', wake .. first, '1')
        redis.pcall('PEXPIRE', wake .. first, 5000)
        return { 'wait' }
    end
    redis.call('ZREM', queue, ticket)
end
give(ticket, lease)
return {
    'turn',
    string.format('%.0f', now),
    redis.call('HMGET', head, 'revision', 'id', 'at', 'format', 'layout'),
    redis.call('XRANGE', commits, from, '+', 'COUNT', limit),
}
