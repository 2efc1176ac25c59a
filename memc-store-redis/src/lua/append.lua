-- Append commits and what they change, all or nothing: everything is checked before the first write, since a script
-- that fails half way is not undone.
--
-- KEYS: head, commits, turn, queue, the set of buckets, then INDEXES hashes of the index, then the buckets and the
--       sorted sets of targets that these commits touch; ARGV names these by their number in KEYS.
-- ARGV: ticket, milliseconds to begin a turn, name of the keys that wake up, layout, format, number of INDEXES,
--       the expected revision and id, the number of commits; then each commit:
--         revision, id, time, itself, number of the target's key (0 without), number of changes; then each change:
--           'put', bucket, field, name, record, number of claims, each claim, number of needs, and each need's
--             bucket, field, name
--           'remove', bucket, field, name
--
-- The index has for each claim the name of the record that has it, and for 'of:' and a record's name how many records
-- refer to it.
local head, commits, turn, queue, buckets = unpack(KEYS, 1, 5)
local at = 0
local function argument()
    at = at + 1
    return ARGV[at]
end
local function count()
    return tonumber(argument())
end

local ticket, grace, wake, layout, format = argument(), argument(), argument(), argument(), argument()
local indexes = count()
local expected = { argument(), argument() }
local number = count()

local ends = redis.call('HMGET', head, 'revision', 'id')
if (ends[1] or '0') ~= expected[1] or (ends[1] and ends[2] ~= expected[2]) then
    -- Perhaps these very commits, sent a second time because the answer to the first was lost.
    local first = argument()
    local there = redis.call('XRANGE', commits, first, first)[1]
    if there and there[2][2] == argument() then
        return { 'done' }
    end
    return { 'lost' }
end
if redis.call('HGET', turn, 'ticket') ~= ticket then
    return { 'lost' }
end
local last = redis.call('XREVRANGE', commits, '+', '-', 'COUNT', 1)[1]
if (last and last[1] or '0-0') ~= expected[1] .. '-0' then
    return { 'corrupt', 'the head is revision ' .. expected[1] .. ', the last commit ' .. (last and last[1] or 'none') }
end

-- What is there, and what these commits make of it; false stands for nothing.
local records, index = {}, {}

local function record(bucket, field)
    local fields = records[bucket]
    if not fields then
        fields = {}
        records[bucket] = fields
    end
    local entry = fields[field]
    if not entry then
        local value = redis.call('HGET', KEYS[bucket], field)
        entry = { before = value, now = value }
        fields[field] = entry
    end
    return entry
end

local function indexed(name)
    local entry = index[name]
    if not entry then
        local key = KEYS[6 + tonumber(string.sub(redis.sha1hex(name), 1, 4), 16) % indexes]
        local value = redis.call('HGET', key, name)
        entry = { key = key, before = value, now = value }
        index[name] = entry
    end
    return entry
end

local function refer(name, difference)
    local entry = indexed('of:' .. name)
    local sum = tonumber(entry.now or 0) + difference
    entry.now = sum > 0 and string.format('%d', sum)
end

local function forget(entry)
    if not entry.now then
        return
    end
    local old = cjson.decode(entry.now)
    for _, claim in ipairs(old.claims) do
        indexed(claim).now = false
    end
    for _, need in ipairs(old.needs) do
        refer(need, -1)
    end
end

local function put()
    local bucket, field, name, value = count(), argument(), argument(), argument()
    local entry = record(bucket, field)
    forget(entry)
    for _ = 1, count() do
        local claim = argument()
        local claimed = indexed(claim)
        if claimed.now then
            return name .. ' cannot have ' .. claim .. ': ' .. claimed.now .. ' has it'
        end
        claimed.now = name
    end
    for _ = 1, count() do
        local needed = record(count(), argument())
        local need = argument()
        if not needed.now then
            return name .. ' refers to ' .. need .. ', which is not there'
        end
        refer(need, 1)
    end
    entry.now = value
end

local function remove()
    local bucket, field, name = count(), argument(), argument()
    local entry = record(bucket, field)
    if not entry.now then
        return name .. ' is not there to be removed'
    end
    local references = indexed('of:' .. name).now
    if references then
        return name .. ' cannot be removed: ' .. references .. ' records refer to it'
    end
    forget(entry)
    entry.now = false
end

local added = {}
local revision, id, time
for _ = 1, number do
    revision, id, time = argument(), argument(), argument()
    local commit, target = argument(), count()
    if target > 0 then
        -- Fails here, before the first write, if it is something else.
        redis.call('ZCARD', KEYS[target])
    end
    added[#added + 1] = { revision, id, commit, target }
    for _ = 1, count() do
        local conflict
        if argument() == 'put' then
            conflict = put()
        else
            conflict = remove()
        end
        if conflict then
            return { 'conflict', 'commit ' .. revision .. ': ' .. conflict }
        end
    end
end

-- What is to be written; a hash gets its new fields before it loses others, so that it does not go and come back.
local writes, filled, emptied = {}, {}, {}
local function write(key, fields)
    local set, gone, sum = {}, {}, 0
    for field, entry in pairs(fields) do
        if entry.now ~= entry.before then
            if entry.now then
                set[#set + 1] = field
                set[#set + 1] = entry.now
                sum = sum + (entry.before and 0 or 1)
            else
                gone[#gone + 1] = field
                sum = sum - 1
            end
        end
    end
    if #set > 0 or #gone > 0 then
        writes[#writes + 1] = { key, set, gone }
    end
    return #set, #gone, sum
end

for bucket, fields in pairs(records) do
    local key = KEYS[bucket]
    local set, gone, sum = write(key, fields)
    if set > 0 then
        filled[#filled + 1] = key
    elseif gone > 0 and redis.call('HLEN', key) + sum == 0 then
        emptied[#emptied + 1] = key
    end
end
local by_key = {}
for name, entry in pairs(index) do
    by_key[entry.key] = by_key[entry.key] or {}
    by_key[entry.key][name] = entry
end
for key, fields in pairs(by_key) do
    write(key, fields)
end
redis.call('SCARD', buckets)

-- A call takes some thousands of arguments at most.
local function in_parts(command, key, list)
    for from = 1, #list, 1000 do
        redis.call(command, key, unpack(list, from, math.min(from + 999, #list)))
    end
end

for _, commit in ipairs(added) do
    redis.call('XADD', commits, commit[1] .. '-0', 'id', commit[2], 'commit', commit[3])
    if commit[4] > 0 then
        redis.call('ZADD', KEYS[commit[4]], commit[1], commit[1])
    end
end
for _, it in ipairs(writes) do
    in_parts('HSET', it[1], it[2])
    in_parts('HDEL', it[1], it[3])
end
in_parts('SADD', buckets, filled)
in_parts('SREM', buckets, emptied)
redis.call('HSET', head, 'revision', revision, 'id', id, 'at', time, 'format', format, 'layout', layout)

-- The turn goes on to the next who waits; none of that is logged.
redis.set_repl(redis.REPL_NONE)
local next = redis.pcall('ZPOPMIN', queue)[1]
if next then
    local clock = redis.call('TIME')
    local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
    redis.pcall('HSET', turn, 'ticket', next, 'until', string.format('%.0f', now + grace))
    redis.pcall('LPUSH', wake .. next, '1')
    redis.pcall('PEXPIRE', wake .. next, 5000)
else
    redis.pcall('DEL', turn)
end
return { 'done' }
