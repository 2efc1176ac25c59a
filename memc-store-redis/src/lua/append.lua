-- Append commits and what they change, all or nothing: everything is checked before the first write, since a script
-- that fails half way is not undone.
--
-- KEYS: head, commits, turn, queue, the set of buckets, then the hashes of the index, then the buckets and the sorted
--       sets of targets that these commits touch; ARGV names all of these by their number in KEYS.
-- ARGV: ticket, milliseconds to begin a turn, name of the keys that wake up, layout, format, number of index hashes,
--       the expected revision and id, the revision and id of the first commit,
--       the number of hashes to read from; then each: key, number of fields, each field;
--       the number of commits; then each commit:
--         revision, id, time, itself, key of the target (0 without), number of changes; then each change:
--           'put', bucket, field, name, record, number of claims, each claim's key and field, number of needs, and each
--             need's bucket, field, and the key and field that count its references
--           'remove', bucket, field, name, the key and field that count its references
--
-- The index has for each claim the name of the record that has it, and for each record how many others refer to it.
-- A stored record begins with its claims and needs: [number of the index hash, field].
local call, KEYS, ARGV = redis.call, KEYS, ARGV
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
local first, first_id = argument(), argument()

local ends = call('HMGET', head, 'revision', 'id')
if (ends[1] or '0') ~= expected[1] or (ends[1] and ends[2] ~= expected[2]) then
    -- Perhaps these very commits, sent a second time because the answer to the first was lost.
    local there = call('XRANGE', commits, first, first)[1]
    if there and there[2][2] == first_id then
        return { 'done' }
    end
    return { 'lost' }
end
if call('HGET', turn, 'ticket') ~= ticket then
    return { 'lost' }
end
local last = call('XREVRANGE', commits, '+', '-', 'COUNT', 1)[1]
if (last and last[1] or '0-0') ~= expected[1] .. '-0' then
    return { 'corrupt', 'the head is revision ' .. expected[1] .. ', the last commit ' .. (last and last[1] or 'none') }
end

-- What is there, and what these commits make of it; false stands for nothing.
local hashes = {}
for _ = 1, count() do
    local key, fields, entries = count(), {}, {}
    for number = 1, count() do
        fields[number] = argument()
    end
    for from = 1, #fields, 1000 do
        local to = math.min(from + 999, #fields)
        local values = call('HMGET', KEYS[key], unpack(fields, from, to))
        for number = from, to do
            local value = values[number - from + 1]
            entries[fields[number]] = { before = value, now = value }
        end
    end
    hashes[key] = entries
end

local function entry_of(key, field)
    local entries = hashes[key]
    if not entries then
        entries = {}
        hashes[key] = entries
    end
    local entry = entries[field]
    if not entry then
        local value = call('HGET', KEYS[key], field)
        entry = { before = value, now = value }
        entries[field] = entry
    end
    return entry
end

local function refer(entry, difference)
    local sum = tonumber(entry.now or 0) + difference
    entry.now = sum > 0 and string.format('%d', sum)
end

-- What a record had is free again, and what it referred to has one reference less.
local function forget(entry)
    if not entry.now or string.sub(entry.now, 1, 24) == '{"claims":[],"needs":[],' then
        return
    end
    local old = cjson.decode(entry.now)
    for _, claim in ipairs(old.claims) do
        entry_of(6 + claim[1], claim[2]).now = false
    end
    for _, need in ipairs(old.needs) do
        refer(entry_of(6 + need[1], need[2]), -1)
    end
end

local function put()
    local entry, name, value = entry_of(count(), argument()), argument(), argument()
    forget(entry)
    for _ = 1, count() do
        local key, claim = count(), argument()
        local claimed = entry_of(key, claim)
        if claimed.now then
            return name .. ' cannot have ' .. claim .. ': ' .. claimed.now .. ' has it'
        end
        claimed.now = name
    end
    for _ = 1, count() do
        local needed, references = entry_of(count(), argument()), entry_of(count(), argument())
        if not needed.now then
            return name .. ' refers to what is not there'
        end
        refer(references, 1)
    end
    entry.now = value
end

local function remove()
    local entry, name, references = entry_of(count(), argument()), argument(), entry_of(count(), argument())
    if not entry.now then
        return name .. ' is not there to be removed'
    end
    if references.now then
        return name .. ' cannot be removed: ' .. references.now .. ' records refer to it'
    end
    forget(entry)
    entry.now = false
end

local added = {}
local revision, id, time
for _ = 1, count() do
    revision, id, time = argument(), argument(), argument()
    local commit, target = argument(), count()
    if target > 0 then
        -- Fails here, before the first write, if it is something else.
        call('ZCARD', KEYS[target])
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

-- What is to be written.
local writes, filled, emptied = {}, {}, {}
for number, entries in pairs(hashes) do
    local key, set, gone, sum = KEYS[number], {}, {}, 0
    for field, entry in pairs(entries) do
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
    if number > 5 + indexes then
        if #set > 0 then
            filled[#filled + 1] = key
        elseif #gone > 0 and call('HLEN', key) + sum == 0 then
            emptied[#emptied + 1] = key
        end
    end
end
call('SCARD', buckets)

-- A call takes some thousands of arguments at most.
local function in_parts(command, key, list)
    for from = 1, #list, 1000 do
        call(command, key, unpack(list, from, math.min(from + 999, #list)))
    end
end

for _, commit in ipairs(added) do
    call('XADD', commits, commit[1] .. '-0', 'id', commit[2], 'commit', commit[3])
    if commit[4] > 0 then
        call('ZADD', KEYS[commit[4]], commit[1], commit[1])
    end
end
-- A hash gets its new fields before it loses others, so that it does not go and come back.
for _, it in ipairs(writes) do
    in_parts('HSET', it[1], it[2])
    in_parts('HDEL', it[1], it[3])
end
in_parts('SADD', buckets, filled)
in_parts('SREM', buckets, emptied)
call('HSET', head, 'revision', revision, 'id', id, 'at', time, 'format', format, 'layout', layout)

-- The turn goes on to the next who waits; none of that is logged.
redis.set_repl(redis.REPL_NONE)
local next = redis.pcall('ZPOPMIN', queue)[1]
if next then
    local clock = call('TIME')
    local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
    redis.pcall('HSET', turn, 'ticket', next, 'until', string.format('%.0f', now + grace))
    redis.pcall('LPUSH', wake .. next, '1')
    redis.pcall('PEXPIRE', wake .. next, 5000)
else
    redis.pcall('DEL', turn)
end
return { 'done' }
