-- Forget the oldest commits, up to a revision, unless so many would not be left: the ledger may have been set back since
-- somebody looked.
-- KEYS: commits, head, the sorted sets of these commits' targets
-- ARGV: the last revision to forget, the first entry of the stream to keep, how many are kept
if tonumber(redis.call('HGET', KEYS[2], 'revision') or 0) - ARGV[1] < tonumber(ARGV[3]) then
    return 'kept'
end
for number = 3, #KEYS do
    redis.call('ZREMRANGEBYSCORE', KEYS[number], '-inf', ARGV[1])
end
redis.call('XTRIM', KEYS[1], 'MINID', ARGV[2])
return 'done'
