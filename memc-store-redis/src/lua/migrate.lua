-- Say that the ledger is kept in a newer format, whose programs read records of the older one as well.
-- KEYS: head, turn
-- ARGV: the older format, the newer
local head, turn = unpack(KEYS)
if redis.call('HGET', head, 'format') ~= ARGV[1] then
    return 0
end
redis.call('HSET', head, 'format', ARGV[2])
-- Whoever has the turn began it with the older format, and would write that again.
redis.call('DEL', turn)
return 1
