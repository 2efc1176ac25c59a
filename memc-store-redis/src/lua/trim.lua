-- Forget the oldest commits, up to a revision.
-- KEYS: commits, the sorted sets of these commits' targets
-- ARGV: the last revision to forget, the first entry of the stream to keep
for number = 2, #KEYS do
    redis.call('ZREMRANGEBYSCORE', KEYS[number], '-inf', ARGV[1])
end
redis.call('XTRIM', KEYS[1], 'MINID', ARGV[2])
return 'done'
