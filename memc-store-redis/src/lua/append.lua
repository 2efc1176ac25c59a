-- Append commits and what they come to, all or nothing: everything is checked before the first write, since a script
-- that fails half way is not undone.
--
-- KEYS: head, commits, turn, queue, the set of buckets, then the hashes of the index, then the buckets and the sorted
--       sets of targets that these commits touch; ARGV names all of these by their number in KEYS.
-- ARGV: ticket, milliseconds to begin a turn, name of the keys that wake up, layout, format, number of index hashes,
--       the expected revision and id, the revision and id of the first commit, the time of the last;
--       the number of buckets with records to put; then each: key, number of fields, each field, each field and record;
--       the number of buckets with records to remove; then each: key, number of fields, each field, and for each its
--         name, whether it has to be there, and the key and field that count its references;
--       the number of index hashes with claims; then each: key, number of fields, each field, each field and who claims;
--       the number of buckets with records that have to be there; then each: key, number of fields, each field, names;
--       the number of index hashes with counts; then each: key, number of fields, each field, what each increases by;
--       the number of commits; then each: revision, id, itself, key of the target (0 without).
--
-- The index has for each claim the name of the record that has it, and for each record how many others refer to it.
-- A stored record begins with its claims and needs: [number of the index hash, field].
local call, KEYS, ARGV, tonumber = redis.call, KEYS, ARGV, tonumber
local head, commits, turn, queue, buckets = unpack(KEYS, 1, 5)
local ticket, grace, wake, layout, format, indexes, expected, expected_id, first, first_id, time = unpack(ARGV, 1, 11)
local at = 11

local ends = call('HMGET', head, 'revision', 'id')
if (ends[1] or '0') ~= expected or (ends[1] and ends[2] ~= expected_id) then
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
if (last and last[1] or '0-0') ~= expected .. '-0' then
    return { 'corrupt', 'the head is revision ' .. expected .. ', the last commit ' .. (last and last[1] or 'none') }
end

-- A call takes some thousands of arguments at most.
local MOST = 1000
local function count()
    at = at + 1
    return tonumber(ARGV[at])
end
-- The values of so many fields, whose names come next.
local function values(key, number)
    local from = at
    at = at + number
    if number <= MOST then
        return call('HMGET', KEYS[key], unpack(ARGV, from + 1, at))
    end
    local all = {}
    for part = from + 1, at, MOST do
        for _, value in ipairs(call('HMGET', KEYS[key], unpack(ARGV, part, math.min(part + MOST - 1, at)))) do
            all[#all + 1] = value
        end
    end
    return all
end

-- What the records had that are replaced or removed: claims that are free again, and references that are fewer.
local freed, counts = {}, {}
local function of(hashes, key)
    local fields = hashes[key]
    if not fields then
        fields = {}
        hashes[key] = fields
    end
    return fields
end
local function forget(value)
    if string.sub(value, 1, 24) == '{"claims":[],"needs":[],' then
        return
    end
    local old = cjson.decode(value)
    for _, claim in ipairs(old.claims) do
        of(freed, 6 + claim[1])[claim[2]] = true
    end
    for _, need in ipairs(old.needs) do
        local fields = of(counts, 6 + need[1])
        fields[need[2]] = (fields[need[2]] or 0) - 1
    end
end

-- Writes: command, key, its arguments in ARGV from and to; or a list instead of them.
local sets, deletions, filled = {}, {}, {}

for _ = 1, count() do
    local key, number = count(), count()
    for _, value in ipairs(values(key, number)) do
        if value then
            forget(value)
        end
    end
    sets[#sets + 1] = { KEYS[key], ARGV, at + 1, at + 2 * number }
    at = at + 2 * number
    filled[KEYS[key]] = true
end

local unreferred, emptied = {}, {}
for _ = 1, count() do
    local key, number = count(), count()
    local fields = at
    local gone, there = {}, 0
    for position, value in ipairs(values(key, number)) do
        local name, has_to_be, count_key, count_field = unpack(ARGV, at + 1, at + 4)
        at = at + 4
        if value then
            forget(value)
            there = there + 1
            gone[there] = ARGV[fields + position]
        elseif has_to_be == '1' then
            return { 'conflict', name .. ' is not there to be removed' }
        end
        unreferred[#unreferred + 1] = { name, tonumber(count_key), count_field }
    end
    deletions[#deletions + 1] = { KEYS[key], gone, 1, there }
    if not filled[KEYS[key]] and there > 0 and call('HLEN', KEYS[key]) == there then
        emptied[#emptied + 1] = KEYS[key]
    end
end

for _ = 1, count() do
    local key, number = count(), count()
    local its_freed, fields, new = freed[key], at, nil
    for position, owner in ipairs(values(key, number)) do
        local claim, free = ARGV[fields + position], not owner
        if its_freed and its_freed[claim] then
            its_freed[claim], free = nil, true
        end
        if owner then
            local name = ARGV[fields + number + 2 * position]
            if not free then
                return { 'conflict', name .. ' cannot have ' .. claim .. ': ' .. owner .. ' has it' }
            end
            -- Most have what they had before.
            new = new or {}
            new[position] = owner ~= name
        end
    end
    if new then
        local list = {}
        for position = 1, number do
            if new[position] ~= false then
                list[#list + 1] = ARGV[fields + position]
                list[#list + 1] = ARGV[fields + number + 2 * position]
            end
        end
        sets[#sets + 1] = { KEYS[key], list, 1, #list }
    else
        sets[#sets + 1] = { KEYS[key], ARGV, at + 1, at + 2 * number }
    end
    at = at + 2 * number
end
for key, fields in pairs(freed) do
    local list = {}
    for claim in pairs(fields) do
        list[#list + 1] = claim
    end
    -- Fails here, before the first write, if it is something else.
    call('HLEN', KEYS[key])
    deletions[#deletions + 1] = { KEYS[key], list, 1, #list }
end

for _ = 1, count() do
    local key, number = count(), count()
    for position, value in ipairs(values(key, number)) do
        if not value then
            return { 'conflict', ARGV[at + position] .. ' has to be there and is not' }
        end
    end
    at = at + number
end

for _ = 1, count() do
    local key, number = count(), count()
    local fields = of(counts, key)
    for position = at + 1, at + number do
        fields[ARGV[position]] = (fields[ARGV[position]] or 0) + tonumber(ARGV[position + number])
    end
    at = at + 2 * number
end
for _, it in ipairs(unreferred) do
    local fields = of(counts, it[2])
    fields[it[3]] = fields[it[3]] or 0
end
for key, fields in pairs(counts) do
    local names, list, gone = {}, {}, {}
    for name in pairs(fields) do
        names[#names + 1] = name
    end
    for from = 1, #names, MOST do
        local to = math.min(from + MOST - 1, #names)
        for position, value in ipairs(call('HMGET', KEYS[key], unpack(names, from, to))) do
            local name = names[from + position - 1]
            local before = tonumber(value or 0)
            local sum = before + fields[name]
            fields[name] = sum
            if sum <= 0 and before > 0 then
                gone[#gone + 1] = name
            elseif sum > 0 and sum ~= before then
                list[#list + 1] = name
                list[#list + 1] = string.format('%d', sum)
            end
        end
    end
    sets[#sets + 1] = { KEYS[key], list, 1, #list }
    deletions[#deletions + 1] = { KEYS[key], gone, 1, #gone }
end
for _, it in ipairs(unreferred) do
    local left = counts[it[2]][it[3]]
    if left > 0 then
        return { 'conflict', it[1] .. ' cannot be removed: ' .. left .. ' records refer to it' }
    end
end

local added = count()
for commit = at, at + 4 * (added - 1), 4 do
    local target = tonumber(ARGV[commit + 4])
    if target > 0 then
        -- Fails here, before the first write, if it is something else.
        call('ZCARD', KEYS[target])
    end
end
call('SCARD', buckets)

local function in_parts(command, key, list, first, last)
    for from = first, last, MOST do
        call(command, key, unpack(list, from, math.min(from + MOST - 1, last)))
    end
end

local revision, id
for commit = at, at + 4 * (added - 1), 4 do
    local itself, target
    revision, id, itself, target = unpack(ARGV, commit + 1, commit + 4)
    call('XADD', commits, revision .. '-0', 'id', id, 'commit', itself)
    if target ~= '0' then
        call('ZADD', KEYS[tonumber(target)], revision, revision)
    end
end
-- A hash gets its new fields before it loses others, so that it does not go and come back.
for _, it in ipairs(sets) do
    in_parts('HSET', it[1], it[2], it[3], it[4])
end
for _, it in ipairs(deletions) do
    in_parts('HDEL', it[1], it[2], it[3], it[4])
end
local list = {}
for key in pairs(filled) do
    list[#list + 1] = key
end
in_parts('SADD', buckets, list, 1, #list)
in_parts('SREM', buckets, emptied, 1, #emptied)
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
